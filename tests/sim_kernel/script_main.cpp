// Prints what a kernel answers: `sim_script_* FIRST LAST` runs the named cases and the random
// scripts of these seeds.

#include <cstdlib>
#include <iostream>

#include "ground.h"
#include "named_cases.h"
#include "random_script.h"

int main(int count, char** arguments) {
  using namespace weir::sim;
  if (count != 3) {
    std::cerr << "usage: " << arguments[0] << " FIRST_SEED LAST_SEED\n";
    return 2;
  }
  const auto first = std::strtoull(arguments[1], nullptr, 10);
  const auto last = std::strtoull(arguments[2], nullptr, 10);
  run_named_cases();
  for (auto seed = first; seed <= last; ++seed) {
    std::printf("--- seed %llu\n", seed);
    ground::run([seed] { RandomScript(seed).run(300); });
  }
}
