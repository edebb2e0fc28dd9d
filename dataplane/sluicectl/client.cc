#include "dataplane/sluicectl/client.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"
#include "dataplane/control/socket/json_rpc.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

// Above this, parameters go through a memfd: well below what the daemon takes
// in one message.
constexpr size_t kMaxInline = 4u << 20;
// No answer of the daemon is nearly as long.
constexpr size_t kMaxAnswer = 64u << 20;

absl::StatusOr<UniqueFd> MemoryFile(const std::string& text) {
  UniqueFd fd(::memfd_create("sluicectl", MFD_CLOEXEC));
  if (!fd.valid()) return absl::UnavailableError(SystemText("memfd_create", errno));
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::UnavailableError(SystemText("memfd", errno));
    done += static_cast<size_t>(n);
  }
  return fd;
}

uint32_t ReadNumber(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint32_t>()
                                                        : 0;
}

std::string ReadText(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

void ReadError(const json& error, CallError* out) {
  if (!error.is_object()) {
    out->message = "the daemon's answer has no form that is known";
    return;
  }
  if (const auto it = error.find("code");
      it != error.end() && it->is_number_integer()) {
    out->code = it->get<int32_t>();
  }
  out->message = ReadText(error, "message");
  const auto data = error.find("data");
  if (data == error.end() || !data->is_array()) return;
  for (const json& d : *data) {
    if (!d.is_object()) continue;
    out->diagnostics.push_back({.severity = ReadText(d, "severity") == "warning"
                                                ? Severity::kWarning
                                                : Severity::kError,
                                .file = ReadText(d, "file"),
                                .line = ReadNumber(d, "line"),
                                .column = ReadNumber(d, "column"),
                                .message = ReadText(d, "message"),
                                .source_line = ReadText(d, "source_line"),
                                .hint = ReadText(d, "hint")});
  }
}

}  // namespace

absl::Status SocketCaller::Connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.empty() || path_.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": no path for a socket"));
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return absl::UnavailableError(SystemText("socket", errno));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) != 0) {
    const int error = errno;
    const char* hint = error == EACCES ? " (you may lack the right to use it)"
                       : error == ENOENT || error == ECONNREFUSED
                           ? " (is sluiced running?)"
                           : "";
    return absl::UnavailableError(
        absl::StrCat(path_, ": ", std::strerror(error), hint));
  }
  socket_ = std::move(socket);
  return absl::OkStatus();
}

absl::Status SocketCaller::Send(const std::string& line, int descriptor) {
  size_t sent = 0;
  while (sent < line.size()) {
    iovec part = {.iov_base = const_cast<char*>(line.data()) + sent,
                  .iov_len = line.size() - sent};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (descriptor >= 0 && sent == 0) {
      header.msg_control = control;
      header.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&header);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
    }
    const ssize_t n = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return absl::UnavailableError(SystemText(path_, errno));
    }
    sent += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SocketCaller::Receive() {
  size_t scanned = 0;
  for (;;) {
    const size_t newline = received_.find('\n', scanned);
    if (newline != std::string::npos) {
      std::string line = received_.substr(0, newline);
      received_.erase(0, newline + 1);
      return line;
    }
    scanned = received_.size();
    if (scanned > kMaxAnswer) {
      return absl::UnavailableError(
          absl::StrCat(path_, ": the answer does not end"));
    }
    char bytes[64 * 1024];
    const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::UnavailableError(SystemText(path_, errno));
    if (n == 0) {
      return absl::UnavailableError(
          absl::StrCat(path_, ": the daemon closed the connection"));
    }
    received_.append(bytes, static_cast<size_t>(n));
  }
}

std::unique_ptr<json> SocketCaller::Call(const std::string& method, json params,
                                         CallError* error) {
  return CallWithDescriptor(method, std::move(params), -1, error);
}

std::unique_ptr<json> SocketCaller::CallWithDescriptor(
    const std::string& method, json params, int descriptor, CallError* error) {
  const auto fail = [error](const absl::Status& status) {
    error->message =
        std::string(status.message().data(), status.message().size());
    return nullptr;
  };
  if (!socket_.valid()) {
    if (absl::Status status = Connect(); !status.ok()) return fail(status);
  }
  UniqueFd passed;
  json request = {{"jsonrpc", "2.0"}, {"id", next_id_++}, {"method", method}};
  std::string text = Dump(params);
  if (text.size() > kMaxInline) {
    if (descriptor >= 0) {
      return fail(absl::InvalidArgumentError(
          "rulesets of more than 4 MiB and a snapshot do not go in one request: "
          "leave --source out, and bring the snapshot with `sluicectl state "
          "import`"));
    }
    absl::StatusOr<UniqueFd> file = MemoryFile(text);
    if (!file.ok()) return fail(file.status());
    passed = *std::move(file);
    request["params"] = {{"descriptor", true}};
  } else {
    request["params"] = std::move(params);
  }
  text = std::string();
  // The daemon may have said why before it closed: the answer counts first.
  const absl::Status sent = Send(
      Dump(request) + "\n", descriptor >= 0 ? descriptor : passed.get());
  absl::StatusOr<std::string> line = Receive();
  if (!line.ok()) return fail(sent.ok() ? line.status() : sent);
  json answer = json::parse(*line, nullptr, false);
  if (!answer.is_object()) {
    return fail(absl::UnavailableError(
        absl::StrCat(path_, ": this is no sluiced: its answer is no JSON")));
  }
  if (const auto it = answer.find("error"); it != answer.end()) {
    ReadError(*it, error);
    return nullptr;
  }
  if (const auto it = answer.find("result"); it != answer.end()) {
    return std::make_unique<json>(std::move(*it));
  }
  return fail(absl::UnavailableError(
      absl::StrCat(path_, ": the answer holds neither result nor error")));
}

}  // namespace sluice
