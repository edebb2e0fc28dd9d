// The lines of an FTP control connection that name a data connection (RFC 959
// section 5.3 and RFC 2428).
//
// Worker side: nothing is allocated, and no line is read beyond its end.
#ifndef SLUICE_CONNTRACK_FTP_TEXT_H_
#define SLUICE_CONNTRACK_FTP_TEXT_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "packet/address.h"

namespace sluice {

enum class FtpWord : uint8_t {
  kOther,      // says nothing of data connections
  kPort,       // PORT h1,h2,h3,h4,p1,p2
  kEprt,       // EPRT |family|address|port|
  kPasv,       // asks for a 227
  kEpsv,       // asks for a 229
  kPassive,    // 227 ... (h1,h2,h3,h4,p1,p2)
  kExtended,   // 229 ... (|||port|)
  kRefused,    // some 4xx or 5xx
};

struct FtpLine {
  FtpWord word = FtpWord::kOther;
  // kPort, kEprt, kPassive and kExtended: all of it is as it has to be.
  bool sound = false;
  Address address;  // of kExtended a family of kNone: the server's own
  uint16_t port = 0;
  // Where the text of address and port begins and ends in the line.
  size_t begin = 0;
  size_t end = 0;
};

// A line without its end. Commands are of either case; of replies only those
// with a blank behind the code count, not the lines before the last.
FtpLine ParseFtpCommand(std::string_view line);
FtpLine ParseFtpReply(std::string_view line);

}  // namespace sluice

#endif  // SLUICE_CONNTRACK_FTP_TEXT_H_
