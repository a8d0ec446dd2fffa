// Linked in front of every program that has a C `main` (C, C++, Rust) with --wrap=main: takes the
// nonce before any constructor of the candidate runs, calls the suite's main, and writes the nonce
// when that returned 0. Its page has no access rights in between, and there is no /proc to find it.
// Everything but the wrapper is static: a candidate that calls that runs the tests, nothing else.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NONCE = 32 };
static char *hidden;
static int result_fd = -1;

static void say(const char *kind, const char *text) {
    char line[700];
    int size = snprintf(line, sizeof line - 1, "%s %.600s", kind, text);
    for (int i = 0; i < size; ++i)
        if (line[i] == '\n') line[i] = ' ';
    line[size++] = '\n';
    if (write(result_fd, line, size) < 0) _exit(1);
}

static void prepare(int argc, char **argv, char **environment) {
    (void)argc, (void)argv, (void)environment;
    char header[64];
    int size = 0;
    while (size < 63 && read(0, header + size, 1) == 1 && header[size] != '\n') ++size;
    if (size <= NONCE) _exit(1);
    header[size] = 0;
    result_fd = atoi(header + NONCE);
    hidden = (char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hidden == MAP_FAILED) _exit(1);
    memcpy(hidden, header, NONCE);
    explicit_bzero(header, sizeof header);
    mprotect(hidden, 4096, PROT_NONE);
    if (write(result_fd, "S\n", 2) != 2) _exit(1);
}

__attribute__((section(".preinit_array"), used)) static void (*const at_start)(
    int, char **, char **) = prepare;

__attribute__((noreturn)) static void finish(int status) {
    fflush(NULL);
    if (status != 0) _exit(status);
    mprotect(hidden, 4096, PROT_READ);
    char line[NONCE + 3] = "P ";
    memcpy(line + 2, hidden, NONCE);
    line[NONCE + 2] = '\n';
    if (write(result_fd, line, sizeof line) < 0) _exit(1);
    _exit(0);
}

#ifndef CODEMOE_OWN_MAIN
extern int __real_main(int, char **, char **);
static void unused(void) { (void)say; }
int __wrap_main(int argc, char **argv, char **environment) {
    (void)unused;
    finish(__real_main(argc, argv, environment));
}
#endif
