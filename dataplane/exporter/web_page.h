// The web page, which the build makes of web/page.html (web/embed.py).
#ifndef SLUICE_DATAPLANE_EXPORTER_WEB_PAGE_H_
#define SLUICE_DATAPLANE_EXPORTER_WEB_PAGE_H_

#include <string_view>

namespace sluice {

// HTML with its style and its script.
extern const std::string_view kWebPage;
// The Content-Security-Policy that lets run exactly these two.
extern const char kWebPolicy[];

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_EXPORTER_WEB_PAGE_H_
