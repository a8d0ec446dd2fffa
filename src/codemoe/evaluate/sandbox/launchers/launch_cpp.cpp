// The C++ half of launch_native.c: an exception that leaves the suite's main is told by its name.
#include <exception>
#include <new>

#define CODEMOE_OWN_MAIN
#include "launch_native.c"

extern "C" int __real_main(int, char **, char **);

// MBXP's suites report a failed case with an exception of this text.
static bool is_failed_case(const char *text) {
    const char *wanted = "test case ";
    for (; *text; ++text) {
        int i = 0;
        while (wanted[i] && text[i] == wanted[i]) ++i;
        if (!wanted[i]) return true;
    }
    return false;
}

extern "C" int __wrap_main(int argc, char **argv, char **environment) {
    int status = 1;
    try {
        status = __real_main(argc, argv, environment);
    } catch (const std::bad_alloc &error) {
        say("O ", error.what());
        leave(1);
    } catch (const std::exception &error) {
        say(is_failed_case(error.what()) ? "F " : "E ", error.what());
        leave(1);
    } catch (...) {
        say("E ", "an exception that is not a std::exception");
        leave(1);
    }
    finish(status);
}
