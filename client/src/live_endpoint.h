// Where the live feed is: what the broker says it bound, with the host that this client dialled
// where the broker bound all of its addresses.
#pragma once

#include <string>

namespace millrace::detail {

// "tcp://0.0.0.0:7712" as bound and "tcp://db1:7711" as dialled → "tcp://db1:7712".
std::string reachable_live_endpoint(const std::string& bound, const std::string& dialled);

}  // namespace millrace::detail
