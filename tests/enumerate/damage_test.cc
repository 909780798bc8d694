#include "tests/enumerate/damage.h"

#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <map>

using namespace millrace;
using namespace millrace::test;

namespace {

// Every n-th mutation of each kind of file, and what came of it.
std::map<FileKind, std::map<DamageOutcome, std::size_t>> outcomes(const DamagedDirectory& directory,
                                                                  std::size_t step) {
  std::map<FileKind, std::map<DamageOutcome, std::size_t>> found;
  for (std::size_t i = 0; i < directory.mutations().size(); i += step) {
    const Mutation& mutation = directory.mutations()[i];
    const DamageResult result = directory.run(mutation);
    INFO(directory.to_string(mutation) << ": " << result.told);
    REQUIRE(result.outcome < DamageOutcome::wrong_bytes);
    ++found[directory.kind_of(mutation)][result.outcome];
  }
  return found;
}

}  // namespace

TEST_CASE("G7 damage to a directory that was closed is never cut as torn") {
  auto found = outcomes(DamagedDirectory(DamagedDirectory::Stop::closed), 5003);
  REQUIRE(found[FileKind::segment][DamageOutcome::corrupt] > 0);
  REQUIRE(found[FileKind::active_segment][DamageOutcome::corrupt] > 0);
  for (auto& [kind, by_outcome] : found) REQUIRE(by_outcome[DamageOutcome::cut_as_torn] == 0);
}

TEST_CASE("G7 after a kill only what came behind the last checkpoint can be cut as torn") {
  auto found = outcomes(DamagedDirectory(DamagedDirectory::Stop::killed), 5003);
  REQUIRE(found[FileKind::active_segment][DamageOutcome::cut_as_torn] > 0);
  for (auto& [kind, by_outcome] : found) {
    if (kind != FileKind::active_segment) REQUIRE(by_outcome[DamageOutcome::cut_as_torn] == 0);
  }
}

TEST_CASE("a damaged identity is refused") {
  TempDir root;
  DamagedIdentity identity(root.path());
  for (std::size_t i = 0; i < identity.mutations(); i += 1009) {
    INFO(identity.to_string(i));
    REQUIRE(identity.run(i).outcome == DamageOutcome::refused);
  }
}
