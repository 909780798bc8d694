// Why an endpoint cannot be listened on, in one line that says what to do.
#pragma once

#include "storage/base/result.h"

#include <string_view>

namespace millrace {

// `error` is an errno or one of libzmq's (ENODEV: a host name that does not resolve), `text` what
// its library says of it. What the endpoint's
// text itself gets wrong is bad_config, all else is this machine's state.
Error listen_error(std::string_view endpoint, int error, std::string_view text);

}  // namespace millrace
