#include "broker/wire/listen_error.h"

#include <fmt/core.h>
#include <zmq.h>

#include <cerrno>

namespace millrace {
namespace {

std::string_view advice_for(int error, bool is_ipc) {
  switch (error) {
    case EADDRINUSE:
      return "another program has it, choose another port (--listen, --live, --http) or stop that "
             "one";
    case EADDRNOTAVAIL: return "this machine has no such address, listen on one of its own";
    case ENODEV: return "listen on an address, a host name or a network interface of its own";
    case EAFNOSUPPORT: return "this machine has no IPv6, listen on an IPv4 address";
    case EACCES:
    case EPERM:
      return is_ipc ? "let the user of the broker write there, or choose another path"
                    : "ports below 1024 need a privilege, choose another port";
    case ENOENT:
    case ENOTDIR: return "make the directory of the path first";
    case ENAMETOOLONG: return "choose a shorter path";
    case EMFILE:
    case ENFILE: return "allow this process more open files (ulimit -n)";
    default: return "choose another address or port";
  }
}

}  // namespace

Error listen_error(std::string_view endpoint, int error, std::string_view text) {
  const bool bad_text = error == EINVAL || error == EPROTONOSUPPORT || error == ENOCOMPATPROTO ||
                        error == ENODEV || error == ENAMETOOLONG;
  // What libzmq says of a name that nobody knows, "No such device", sends people after hardware.
  if (error == ENODEV) text = "the name does not resolve to an address of this machine";
  return {bad_text ? Errc::bad_config : Errc::bad_state,
          fmt::format("cannot listen on {}: {}; {}", endpoint, text,
                      advice_for(error, endpoint.starts_with("ipc://")))};
}

}  // namespace millrace
