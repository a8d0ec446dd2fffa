// The C++ half of launch_native.c: an exception that leaves the suite's main is told by its name.
#include <cstring>
#include <exception>
#include <new>

#define CODEMOE_OWN_MAIN
#include "launch_native.c"

extern "C" int __real_main(int, char **, char **);

extern "C" int __wrap_main(int argc, char **argv, char **environment) {
    int status = 1;
    try {
        status = __real_main(argc, argv, environment);
    } catch (const std::bad_alloc &error) {
        say("O", error.what());
        _exit(1);
    } catch (const std::exception &error) {
        // MBXP's suites report a failed case with an exception of this text.
        say(std::strstr(error.what(), "test case ") ? "F" : "E", error.what());
        _exit(1);
    } catch (...) {
        say("E", "an exception that is not a std::exception");
        _exit(1);
    }
    finish(status);
}
