// A client of the control socket for tests, and a folder for the socket.
#ifndef SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_TEST_CLIENT_H_
#define SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_TEST_CLIENT_H_

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/unique_fd.h"

namespace sluice {

// A new folder that goes with this.
class TestFolder {
 public:
  TestFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "sluice-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Non-blocking: what is not there yet is not waited for, because the server
// is polled by the same thread.
class TestClient {
 public:
  explicit TestClient(const std::string& path)
      : socket_(
            ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ =
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return socket_.get(); }

  // Bytes that the socket took.
  size_t Send(std::string_view bytes) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(),
                             MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? 0 : static_cast<size_t>(n);
  }

  // Sends with a descriptor beside the first byte.
  bool SendWith(std::string_view bytes, int descriptor) {
    iovec part = {.iov_base = const_cast<char*>(bytes.data()),
                  .iov_len = bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
    return ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }

  // Takes what has arrived.
  void Receive() {
    char bytes[65536];
    for (;;) {
      const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (n > 0) {
        received_.append(bytes, static_cast<size_t>(n));
        continue;
      }
      if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) closed_ = true;
      return;
    }
  }

  // The next whole line that has arrived.
  std::optional<std::string> Line() {
    Receive();
    const size_t newline = received_.find('\n');
    if (newline == std::string::npos) return std::nullopt;
    std::string line = received_.substr(0, newline);
    received_.erase(0, newline + 1);
    return line;
  }

  // The server has closed, and nothing is left to read.
  bool Closed() {
    Receive();
    return closed_ && received_.empty();
  }

  void CloseWriting() { ::shutdown(socket_.get(), SHUT_WR); }

 private:
  UniqueFd socket_;
  bool connected_ = false;
  bool closed_ = false;
  std::string received_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_UNIT_DATAPLANE_CONTROL_CONTROL_TEST_CLIENT_H_
