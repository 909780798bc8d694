// Catch2 3 under the name that Catch2 2 has for its one header; on the tests' path only where the
// distribution has version 3.
#pragma once

#include <catch2/catch_all.hpp>
