// Endpoints of brokers as users write them: which can be dialled, and what is wrong with others.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::detail {

// What is wrong with `endpoint`, in one line that says the expected form; nothing: it may be
// dialled. libzmq takes more than it can dial: port 0, a port modulo 65536, no host at all.
std::optional<std::string> endpoint_fault(std::string_view endpoint);

// Whether the host is an IPv6 address, tcp://[::1]:7711. A socket dials either those or names and
// IPv4: with both allowed, libzmq would look for a name's IPv6 address alone.
bool is_ipv6_endpoint(std::string_view endpoint);

}  // namespace millrace::detail
