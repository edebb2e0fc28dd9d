#include "dataplane/control/socket/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kReadSize = 64 * 1024;
constexpr size_t kMaxDescriptors = 4;  // in one read; the kernel closes more

}  // namespace

size_t Connection::Read(size_t max_message) {
  const size_t held = input_.size() - begin_;
  // One byte for the newline and one to see that the message is too long.
  if (held >= max_message + 2) return 0;
  char bytes[kReadSize];
  iovec part = {.iov_base = bytes,
                .iov_len = std::min(kReadSize, max_message + 2 - held)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK) at_end_ = true;
    return 0;
  }
  size_t closed = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr;
       c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      UniqueFd passed(fd);
      if (descriptor_.valid()) {
        ++closed;
      } else {
        descriptor_ = std::move(passed);
      }
    }
  }
  if (n == 0) {
    at_end_ = true;
    return closed;
  }
  if (begin_ > 0) {
    input_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  input_.append(bytes, static_cast<size_t>(n));
  return closed;
}

Connection::Input Connection::TakeLine(size_t max_message, std::string* line) {
  for (;;) {
    const size_t newline = input_.find('\n', scanned_);
    const size_t end = newline == std::string::npos ? input_.size() : newline;
    if (end - begin_ > max_message) return Input::kTooLong;
    if (newline == std::string::npos) {
      scanned_ = input_.size();
      return Input::kNone;
    }
    size_t length = newline - begin_;
    if (length > 0 && input_[newline - 1] == '\r') --length;
    if (length > 0) {
      if (begin_ == 0 && newline + 1 == input_.size()) {
        // The usual case, and the one of long messages: no copy.
        *line = std::move(input_);
        line->resize(length);
        input_.clear();
        begin_ = scanned_ = 0;
        return Input::kLine;
      }
      line->assign(input_, begin_, length);
    }
    begin_ = scanned_ = newline + 1;
    if (begin_ == input_.size()) {
      input_.clear();
      begin_ = scanned_ = 0;
    }
    if (length > 0) return Input::kLine;
  }
}

UniqueFd Connection::TakeDescriptor() { return std::move(descriptor_); }

void Connection::Queue(std::string line) {
  line.push_back('\n');
  if (!HasOutput()) {
    output_ = std::move(line);
    sent_ = 0;
  } else {
    output_ += line;
  }
}

Connection::Progress Connection::Flush() {
  Progress progress = Progress::kNone;
  while (HasOutput()) {
    const ssize_t n =
        ::send(socket_.get(), output_.data() + sent_, output_.size() - sent_,
               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return progress;
      return Progress::kFailed;
    }
    sent_ += static_cast<size_t>(n);
    progress = Progress::kSome;
  }
  if (sent_ > 0) {
    output_ = std::string();
    sent_ = 0;
  }
  return progress;
}

void Connection::SendOnce(int fd, std::string_view line) {
  std::string text(line);
  text.push_back('\n');
  [[maybe_unused]] const ssize_t n =
      ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace sluice
