// A FlatBuffer nested in another restarts the verifier's limits at every level, so none of our
// schemas nests one.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

TEST_CASE("PR-03 no schema nests a FlatBuffer in another") {
  std::size_t schemas = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MILLRACE_SOURCE_DIR) + "/schemas")) {
    if (entry.path().extension() != ".fbs") continue;
    ++schemas;
    std::ifstream file(entry.path());
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    CAPTURE(entry.path().string());
    REQUIRE_FALSE(text.empty());
    CHECK(text.find("nested_flatbuffer") == std::string::npos);
  }
  CHECK(schemas == 4);
}
