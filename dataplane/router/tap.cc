#include "dataplane/router/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/router/netns.h"

namespace sluice {
namespace {

constexpr char kDevice[] = "/dev/net/tun";

ifreq RequestFor(const std::string& name) {
  ifreq request = {};
  std::memcpy(request.ifr_name, name.data(),
              std::min<size_t>(name.size(), IFNAMSIZ - 1));
  return request;
}

absl::Status Failed(const std::string& name, const char* what, int error) {
  const std::string text = absl::StrCat("the kernel's interface ", name, ": ",
                                        what, ": ", std::strerror(error));
  if (error == EPERM || error == EACCES) {
    return absl::PermissionDeniedError(absl::StrCat(
        text, "; sluiced needs CAP_NET_ADMIN for that (the drop-in router.conf "
        "of its unit)"));
  }
  return absl::FailedPreconditionError(text);
}

// What read() and write() say of an interface that is no more.
bool IsGone(int error) {
  return error == EBADFD || error == ENODEV || error == ENXIO;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tap>> Tap::Make(const Options& options) {
  std::unique_ptr<Tap> tap(new Tap(options));
  const absl::Status status =
      InNetns(options.netns, [&] { return tap->Open(); });
  if (!status.ok()) return status;
  return tap;
}

absl::Status Tap::Open() {
  const std::string& name = options_.name;
  file_.Reset(open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file_.valid()) {
    const int error = errno;
    return absl::FailedPreconditionError(absl::StrCat(
        kDevice, ": ", std::strerror(error),
        error == ENOENT ? "; load the kernel's module (`modprobe tun`)"
                        : "; sluiced has to be allowed to use it (the drop-in "
                          "router.conf of its unit)"));
  }
  ifreq request = RequestFor(name);
  // Not one that somebody else has made to last.
  request.ifr_flags = static_cast<int16_t>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
  if (ioctl(file_.get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY || errno == EEXIST || errno == EINVAL) {
      return absl::AlreadyExistsError(absl::StrCat(
          "there is an interface ", name, " already",
          options_.netns.empty()
              ? ""
              : absl::StrCat(" in network namespace '", options_.netns, "'"),
          "; remove or rename it, or give the port another `tap`"));
    }
    return Failed(name, "it cannot be made", errno);
  }
  // The thread's own namespace: an ioctl of any socket in it does.
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Failed(name, "no socket", errno);
  request = RequestFor(name);
  if (ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) {
    return Failed(name, "it has no number", errno);
  }
  index_ = request.ifr_ifindex;
  request = RequestFor(name);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, options_.mac.data(),
              options_.mac.size());
  if (ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0) {
    return Failed(name, "its MAC address cannot be set", errno);
  }
  request = RequestFor(name);
  request.ifr_mtu = options_.mtu;
  if (ioctl(socket.get(), SIOCSIFMTU, &request) != 0) {
    return Failed(name, "its MTU cannot be set", errno);
  }
  request = RequestFor(name);
  if (ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
    return Failed(name, "it cannot be looked at", errno);
  }
  request.ifr_flags = static_cast<int16_t>(request.ifr_flags | IFF_UP);
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return Failed(name, "it cannot be brought up", errno);
  }
  return absl::OkStatus();
}

Tap::Outcome Tap::Read(std::span<uint8_t> frame, size_t* length) {
  const ssize_t count = read(file_.get(), frame.data(), frame.size());
  if (count >= 0) {
    *length = static_cast<size_t>(count);
    return Outcome::kDone;
  }
  // A read of an interface that is being taken away says EIO.
  return IsGone(errno) || errno == EIO ? Outcome::kGone : Outcome::kNothing;
}

Tap::Outcome Tap::Write(const iovec* parts, int count) {
  if (writev(file_.get(), parts, count) >= 0) return Outcome::kDone;
  // EIO: it is down.
  return IsGone(errno) ? Outcome::kGone : Outcome::kNothing;
}

void Tap::SetCarrier(bool up) {
  int value = up ? 1 : 0;
  // Kernels before 4.20 have a cable in it always.
  static_cast<void>(ioctl(file_.get(), TUNSETCARRIER, &value));
}

}  // namespace sluice
