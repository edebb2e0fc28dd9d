#include "dataplane/transfer/directory_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"

namespace sluice {

absl::Status DirectoryWatch::Add(const std::string& directory) {
  if (!inotify_.valid()) {
    inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify_.valid()) return SystemError("inotify", errno);
  }
  const int watch =
      ::inotify_add_watch(inotify_.get(), directory.c_str(),
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
  if (watch < 0) {
    return SystemError(directory, errno == ENOSPC ? EMFILE : errno);
  }
  directories_[watch] = directory;
  return absl::OkStatus();
}

void DirectoryWatch::Poll() {
  if (directories_.empty()) return;
  alignas(inotify_event) char bytes[16 * 1024];
  for (;;) {
    const ssize_t n = ::read(inotify_.get(), bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    for (ssize_t at = 0; at < n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(bytes + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [watch, directory] : directories_) {
          appeared_(directory, "");
        }
        continue;
      }
      const auto found = directories_.find(event->wd);
      if (found == directories_.end()) continue;
      const std::string directory = found->second;
      if ((event->mask & IN_IGNORED) != 0) {
        directories_.erase(found);
        appeared_(directory, "");
      } else if (event->len > 0) {
        appeared_(directory, event->name);
      }
    }
  }
}

}  // namespace sluice
