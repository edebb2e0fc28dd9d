#include "dataplane/control/methods/operations.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/method.h"
#include "nlohmann/json.hpp"

namespace sluice {
namespace {

using nlohmann::json;

// Values in one message, and in what a descriptor holds: each costs up to
// some hundred bytes of memory when it is decoded.
constexpr size_t kMaxMessageValues = 1u << 20;
constexpr size_t kMaxDescriptorValues = 4u << 20;

const std::map<std::string_view, Method>& Methods() {
  static const auto* const methods = [] {
    auto* all = new std::map<std::string_view, Method>;
    for (const std::vector<Method>* group :
         {&kCommitMethods, &kExplainMethods, &kFilterMethods, &kLogMethods,
          &kPolicyMethods, &kPortMethods, &kProcessMethods, &kRouterMethods,
          &kSegmentMethods,
          &kStatusMethods, &kTraceMethods,
          &kTableMethods, &kTransferMethods}) {
      for (const Method& method : *group) all->emplace(method.name, method);
    }
    return all;
  }();
  return *methods;
}

}  // namespace

Role RoleFor(Access access) {
  switch (access) {
    case Access::kRead:
      return Role::kRead;
    case Access::kWatch:
    case Access::kOperate:
    case Access::kCommit:
      return Role::kOperate;
    case Access::kAdmin:
      break;
  }
  return Role::kAdmin;
}

Role RoleFor(Access access, std::string_view filter) {
  // Its emergency ruleset is main's too.
  const bool main =
      filter.substr(0, filter.find(':')) == kMainFilterName;
  return access == Access::kCommit && main ? Role::kAdmin : RoleFor(access);
}

const Method* FindMethod(std::string_view name) {
  const auto found = Methods().find(name);
  return found == Methods().end() ? nullptr : &found->second;
}

std::vector<const Method*> AllMethods() {
  std::vector<const Method*> all;
  for (const auto& [name, method] : Methods()) all.push_back(&method);
  return all;
}

namespace {

// Whether the text, if it is JSON, stays within the depth and the number of
// values. Looks at brackets and commas outside of strings only.
bool IsModest(std::string_view text, size_t max_values) {
  int depth = 0;
  size_t values = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        break;
      case '[':
      case '{':
        if (++depth > kMaxJsonDepth) return false;
        ++values;
        break;
      case ']':
      case '}':
        --depth;
        break;
      case ',':
        ++values;
        break;
      default:
        break;
    }
  }
  return values <= max_values;
}

// The text of a passed descriptor: a plain file or a memfd, so that reading
// cannot wait for anybody.
absl::StatusOr<std::string> ReadDescriptor(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        "the passed descriptor must be a plain file or a memfd");
  }
  if (status.st_size < 0 ||
      static_cast<uint64_t>(status.st_size) > Operations::kMaxDescriptorBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the passed descriptor holds more than ",
                     Operations::kMaxDescriptorBytes, " bytes"));
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::pread(fd, text.data() + done, text.size() - done,
                              static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return absl::InvalidArgumentError(
          "the passed descriptor could not be read to its end");
    }
    done += static_cast<size_t>(n);
  }
  return text;
}

}  // namespace

// A request, decoded: an action, or what is wrong.
struct Operations::Decoded {
  Role role;  // of who asks
  json id;
  bool wants_answer = true;
  std::string method;
  // That is asked; none: the method asks no filter.
  std::optional<std::string> filter;
  Action action;
  // The parameters are in the descriptor and not read yet.
  bool in_descriptor = false;
  // Set if `action` is not.
  RpcError code = RpcError::kInternal;
  std::string error;

  void Fail(RpcError why, std::string_view what) {
    action = nullptr;
    code = why;
    error = what;
  }

  void ParseParams(const json& params) {
    const Method& found = *FindMethod(method);
    Params reader(params);
    if (found.asks_filter) {
      filter.emplace(kMainFilterName);
      reader.Name("filter", kMaxFilterName, &*filter);
    }
    action = found.parse(reader);
    if (absl::Status status = reader.Finish(); !status.ok()) {
      Fail(RpcError::kInvalidParams,
           std::string_view(status.message().data(), status.message().size()));
    }
  }

  void ParseDescriptor(int fd) {
    in_descriptor = false;
    absl::StatusOr<std::string> text = ReadDescriptor(fd);
    if (!text.ok()) {
      const absl::Status& status = text.status();
      return Fail(
          RpcError::kInvalidParams,
          std::string_view(status.message().data(), status.message().size()));
    }
    if (!IsModest(*text, kMaxDescriptorValues)) {
      return Fail(RpcError::kInvalidParams,
                  "the passed descriptor holds too many or too deep values");
    }
    std::string twice;
    const json params = ParseJson(*text, &twice);
    if (params.is_discarded()) {
      return Fail(RpcError::kParse, "the passed descriptor holds no JSON");
    }
    if (!twice.empty()) {
      return Fail(RpcError::kInvalidParams,
                  absl::StrCat("the passed descriptor has \"",
                               PrintableName(twice), "\" twice"));
    }
    ParseParams(params);
  }

  void Parse(const std::string& text, bool has_descriptor) {
    if (!IsModest(text, kMaxMessageValues)) {
      return Fail(RpcError::kInvalidRequest, "too many or too deep values");
    }
    std::string twice;
    const json request = ParseJson(text, &twice);
    if (request.is_discarded()) {
      return Fail(RpcError::kParse, "this line is not JSON");
    }
    if (request.is_array()) {
      return Fail(RpcError::kInvalidRequest,
                  "a batch is not accepted: one request a line");
    }
    if (!request.is_object()) {
      return Fail(RpcError::kInvalidRequest, "a request is a JSON object");
    }
    if (const auto it = request.find("id"); it == request.end()) {
      wants_answer = false;
    } else if (it->is_string() || it->is_number() || it->is_null()) {
      id = *it;
    } else {
      return Fail(RpcError::kInvalidRequest,
                  "\"id\" must be a string, a number or null");
    }
    // Which of the two the client meant nobody knows.
    if (!twice.empty()) {
      wants_answer = true;
      return Fail(RpcError::kInvalidRequest,
                  absl::StrCat("\"", PrintableName(twice), "\" is given twice"));
    }
    const auto version = request.find("jsonrpc");
    if (version == request.end() || *version != "2.0") {
      // Without an id too: who sends this reads answers.
      wants_answer = true;
      return Fail(RpcError::kInvalidRequest, "\"jsonrpc\" must be \"2.0\"");
    }
    const auto name = request.find("method");
    if (name == request.end() || !name->is_string()) {
      wants_answer = true;
      return Fail(RpcError::kInvalidRequest, "\"method\" must be a string");
    }
    method = name->get<std::string>();
    const Method* const found = FindMethod(method);
    if (found == nullptr) {
      return Fail(
          RpcError::kMethodNotFound,
          absl::StrCat("there is no method \"",
                       PrintableName(method.substr(0, 64)), "\""));
    }
    // What is refused in any case is not read at all.
    if (role < RoleFor(found->access)) {
      return Fail(RpcError::kNotAllowed, "");
    }
    const auto params = request.find("params");
    if (params == request.end()) return ParseParams(json());
    if (*params == json{{"descriptor", true}}) {
      if (!has_descriptor) {
        return Fail(RpcError::kInvalidParams,
                    "no descriptor has come with this message");
      }
      in_descriptor = true;
      return;
    }
    ParseParams(*params);
  }
};

Operations::Operations(FilterDirectory* directory, Builder* builder)
    : directory_(directory), builder_(builder) {}
Operations::~Operations() = default;

void Operations::OnMessage(Message message, Reply reply) {
  const bool large = message.text.size() > kInlineBytes;
  auto decoded = std::make_shared<Decoded>();
  decoded->role = message.peer.role;
  if (!large) {
    const TurnWatch::Part part(turns_, "decoding a request");
    decoded->Parse(message.text, message.fd.valid());
    if (!decoded->in_descriptor) {
      Run(std::move(*decoded), message.peer, std::move(message.fd),
          std::move(reply));
      return;
    }
  }
  auto held = std::make_shared<Message>(std::move(message));
  auto held_reply = std::make_shared<Reply>(std::move(reply));
  const bool submitted = builder_->Submit(
      [decoded, held, large] {
        if (large) decoded->Parse(held->text, held->fd.valid());
        if (decoded->in_descriptor) {
          decoded->ParseDescriptor(held->fd.get());
          held->fd.Reset();
        }
        held->text = std::string();
      },
      [this, decoded, held, held_reply] {
        Run(std::move(*decoded), held->peer, std::move(held->fd),
            std::move(*held_reply));
      });
  if (!submitted) {
    held_reply->Send(
        ErrorLine(decoded->id, RpcError::kBusy, "too much work; try again"));
  }
}

void Operations::Run(Decoded decoded, const PeerCredentials& peer,
                     UniqueFd descriptor, Reply reply) {
  const bool asks_filter = decoded.filter.has_value();
  if (const Role needed = NeededRole(decoded); peer.role < needed) {
    const std::string what = decoded.method +
                             (asks_filter ? " of filter " + *decoded.filter
                                          : std::string());
    LogRefusal(peer, what, needed);
    decoded.wants_answer
        ? reply.Send(ErrorLine(decoded.id, RpcError::kNotAllowed,
                               NotAllowed(peer, needed)))
        : reply.Skip();
    return;
  }
  auto call = std::make_shared<Call>(this, decoded.method,
                                     std::move(decoded.filter).value_or(""),
                                     std::move(decoded.id),
                                     decoded.wants_answer, peer,
                                     std::move(descriptor), std::move(reply));
  if (!decoded.action) {
    call->Error(decoded.code, decoded.error);
    return;
  }
  if (asks_filter && call->filter() == nullptr) return;
  // The part's name is the call's.
  const std::shared_ptr<Call> kept = call;
  const TurnWatch::Part part(turns_, kept->method());
  decoded.action(std::move(call));
}

// kNone: there is no such method.
Role Operations::NeededRole(const Decoded& decoded) {
  const Method* const method = FindMethod(decoded.method);
  if (method == nullptr) return Role::kNone;
  return decoded.filter ? RoleFor(method->access, *decoded.filter)
                        : RoleFor(method->access);
}

std::string Operations::NotAllowed(const PeerCredentials& peer, Role needed) {
  return fmt::format("this needs the role {}, and user {} has {}: {}_group "
                     "of [control] in sluice.toml says who has it",
                     Name(needed), peer.uid, Name(peer.role), Name(needed));
}

void Operations::LogRefusal(const PeerCredentials& peer, std::string_view what,
                            Role needed) {
  const RefusalLog::Verdict verdict = refusals_.Add(RefusalLog::Clock::now());
  if (!verdict.log) return;
  LogWarning("control: uid {} pid {}: refused {}: it needs the role {}, not "
             "{}{}",
             peer.uid, peer.pid, what, Name(needed), Name(peer.role),
             verdict.Suffix());
}

bool Operations::Enqueue(BeginJob begin) {
  if (jobs_.size() >= kMaxWaitingJobs) return false;
  jobs_.push_back(std::move(begin));
  StartJobs();
  return true;
}

void Operations::EndJob() {
  job_running_ = false;
  StartJobs();
}

void Operations::StartJobs() {
  while (!job_running_ && !jobs_.empty()) {
    BeginJob begin = std::move(jobs_.front());
    jobs_.pop_front();
    // Set first: a job may end, and start the next, before begin() is back.
    job_running_ = true;
    if (!begin()) job_running_ = false;
  }
}

}  // namespace sluice
