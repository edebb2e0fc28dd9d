// One client's socket with its buffers: bytes and descriptors in, lines out of
// them; lines in, bytes out. Used by the control server alone.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_CONNECTION_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/unique_fd.h"

namespace sluice {

class Connection {
 public:
  enum class Progress : uint8_t { kNone, kSome, kFailed };
  enum class Input : uint8_t { kNone, kLine, kTooLong };

  // A connected, non-blocking Unix stream socket.
  explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}

  // Reads once, at most 64 KiB and never more than makes one byte over
  // `max_message` plus its newline. Of the descriptors that come along the
  // first is kept; returns how many were closed.
  size_t Read(size_t max_message);
  // The next complete line that is not blank, without its newline (and the
  // carriage return before it).
  Input TakeLine(size_t max_message, std::string* line);
  // The descriptor that has come with the bytes so far, if one has.
  UniqueFd TakeDescriptor();

  void Queue(std::string line);
  Progress Flush();

  bool HasOutput() const { return sent_ < output_.size(); }
  bool HasPartialInput() const { return begin_ < input_.size(); }
  bool at_end() const { return at_end_; }
  int fd() const { return socket_.get(); }
  size_t descriptor_count() const { return descriptor_.valid() ? 1 : 0; }

  // A line to a client that is about to be closed; if it does not fit into
  // the socket's buffer it is lost.
  static void SendOnce(int fd, std::string_view line);

 private:
  UniqueFd socket_;
  std::string input_;
  size_t begin_ = 0;    // of what is not taken yet
  size_t scanned_ = 0;  // no newline from begin_ up to here
  std::string output_;
  size_t sent_ = 0;
  UniqueFd descriptor_;
  bool at_end_ = false;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_CONNECTION_H_
