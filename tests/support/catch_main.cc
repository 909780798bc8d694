// The main of all test programs, with either version of Catch2.
#define CATCH_CONFIG_RUNNER  // version 2 is told so where to put itself; version 3 is a library
#include <catch2/catch.hpp>

int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
