/* late.c - opening a library for good, and the first call of a function of it.
 *
 * All functions of a library are looked up at once, and the stubs' pointers set only when all are there, so that a
 * library is either whole or not open. Pointers are set while other threads may jump through them: they are words,
 * and until a new value is seen the old one leads here, where the lock is.
 */
#include "base/late.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static enum err_code find_functions(const struct late_library *l, void *handle, struct err *e)
{
    for (size_t i = 0; i < l->n_entries; i++)
        if (!dlsym(handle, l->entries[i].name))
            return err_set(e, ERR_NOTFOUND,
                           "%s needs %s of %s, which has no such function: is the "
                           "package %s of another version?",
                           l->task, l->entries[i].name, l->file, l->package);
    for (size_t i = 0; i < l->n_entries; i++)
        __atomic_store_n(l->entries[i].to, dlsym(handle, l->entries[i].name), __ATOMIC_RELEASE);
    return ERR_OK;
}

static enum err_code open_locked(struct late_library *l, struct err *e)
{
    if (l->handle)
        return ERR_OK;
    void *handle = dlopen(l->file, RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return err_set(e, ERR_NOTFOUND,
                       "%s needs %s, which cannot be opened: is the package %s "
                       "installed? (%s)",
                       l->task, l->file, l->package, dlerror());
    enum err_code rc = find_functions(l, handle, e);
    if (rc == ERR_OK)
        __atomic_store_n(&l->handle, handle, __ATOMIC_RELEASE);
    else
        (void)dlclose(handle);
    return rc;
}

enum err_code late_open(struct late_library *l, struct err *e)
{
    if (__atomic_load_n(&l->handle, __ATOMIC_ACQUIRE))
        return ERR_OK;
    (void)pthread_mutex_lock(&lock);
    enum err_code rc = open_locked(l, e);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

/* Weak: a program may have none. */
extern struct late_library *const first_row[] __asm__("__start_late_libraries")
    __attribute__((weak, visibility("hidden")));
extern struct late_library *const end_of_rows[] __asm__("__stop_late_libraries")
    __attribute__((weak, visibility("hidden")));

void late_each(void (*fn)(const struct late_library *l, void *user), void *user)
{
    for (struct late_library *const *row = first_row; row != end_of_rows; row++)
        fn(*row, user);
}

#if defined(__x86_64__)

/* As the loader ends a program that is linked with a library which is missing. */
__attribute__((used)) static void late_open_or_end(struct late_library *l)
{
    struct err e = {0};
    if (late_open(l, &e) == ERR_OK)
        return;
    log_error("%s", e.text);
    abort();
}

/* From a stub: %r10 is its pointer, %r11 the library. What may hold arguments (and %rax, which counts those in vector
 * registers for functions of variable arguments) is kept over the call. */
__asm__(".pushsection .text\n"
        ".globl late_first_call\n"
        ".hidden late_first_call\n"
        ".type late_first_call, @function\n"
        "late_first_call:\n"
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    mov %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    sub $192, %rsp\n"
        "    mov %rdi, (%rsp)\n"
        "    mov %rsi, 8(%rsp)\n"
        "    mov %rdx, 16(%rsp)\n"
        "    mov %rcx, 24(%rsp)\n"
        "    mov %r8, 32(%rsp)\n"
        "    mov %r9, 40(%rsp)\n"
        "    mov %rax, 48(%rsp)\n"
        "    mov %r10, 56(%rsp)\n"
        "    movaps %xmm0, 64(%rsp)\n"
        "    movaps %xmm1, 80(%rsp)\n"
        "    movaps %xmm2, 96(%rsp)\n"
        "    movaps %xmm3, 112(%rsp)\n"
        "    movaps %xmm4, 128(%rsp)\n"
        "    movaps %xmm5, 144(%rsp)\n"
        "    movaps %xmm6, 160(%rsp)\n"
        "    movaps %xmm7, 176(%rsp)\n"
        "    mov %r11, %rdi\n"
        "    call late_open_or_end\n"
        "    mov (%rsp), %rdi\n"
        "    mov 8(%rsp), %rsi\n"
        "    mov 16(%rsp), %rdx\n"
        "    mov 24(%rsp), %rcx\n"
        "    mov 32(%rsp), %r8\n"
        "    mov 40(%rsp), %r9\n"
        "    mov 48(%rsp), %rax\n"
        "    mov 56(%rsp), %r10\n"
        "    movaps 64(%rsp), %xmm0\n"
        "    movaps 80(%rsp), %xmm1\n"
        "    movaps 96(%rsp), %xmm2\n"
        "    movaps 112(%rsp), %xmm3\n"
        "    movaps 128(%rsp), %xmm4\n"
        "    movaps 144(%rsp), %xmm5\n"
        "    movaps 160(%rsp), %xmm6\n"
        "    movaps 176(%rsp), %xmm7\n"
        "    leave\n"
        "    .cfi_def_cfa %rsp, 8\n"
        "    jmp *(%r10)\n"
        "    .cfi_endproc\n"
        ".size late_first_call, . - late_first_call\n"
        ".popsection\n");

#endif
