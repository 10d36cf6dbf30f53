/* elf_needed.c - the dynamic section of /proc/self/exe: the libraries that the program was linked with. */
#include <elf.h>
#include <string.h>

#include "base/file.h"
#include "cli/doctor.h"

struct image {
    const unsigned char *p;
    size_t n;
};

static bool copy_at(const struct image *im, uint64_t at, void *out, size_t size)
{
    if (at > im->n || im->n - at < size)
        return false;
    memcpy(out, im->p + at, size);
    return true;
}

/* Where in the file the byte lies that is at this address when loaded. */
static bool offset_of(const struct image *im, const Elf64_Ehdr *head, uint64_t address,
                      uint64_t *out)
{
    Elf64_Phdr ph;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (!copy_at(im, head->e_phoff + i * sizeof ph, &ph, sizeof ph))
            return false;
        if (ph.p_type == PT_LOAD && address >= ph.p_vaddr && address - ph.p_vaddr < ph.p_filesz) {
            *out = ph.p_offset + (address - ph.p_vaddr);
            return true;
        }
    }
    return false;
}

/* The dynamic section's place and size. */
static bool find_dynamic(const struct image *im, const Elf64_Ehdr *head, Elf64_Phdr *out)
{
    for (unsigned i = 0; i < head->e_phnum; i++)
        if (copy_at(im, head->e_phoff + i * sizeof *out, out, sizeof *out) &&
            out->p_type == PT_DYNAMIC)
            return true;
    return false;
}

static bool read_needed(const struct image *im, void (*fn)(const char *library, void *user),
                        void *user)
{
    Elf64_Ehdr head;
    Elf64_Phdr dynamic;
    Elf64_Dyn d;
    uint64_t strings = 0;
    if (!copy_at(im, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || !find_dynamic(im, &head, &dynamic))
        return false;
    uint64_t count = dynamic.p_filesz / sizeof d;
    for (uint64_t i = 0; i < count && copy_at(im, dynamic.p_offset + i * sizeof d, &d, sizeof d);
         i++)
        if (d.d_tag == DT_STRTAB && !offset_of(im, &head, d.d_un.d_ptr, &strings))
            return false;
    for (uint64_t i = 0; i < count && copy_at(im, dynamic.p_offset + i * sizeof d, &d, sizeof d);
         i++) {
        uint64_t at = strings + d.d_un.d_val;
        if (d.d_tag == DT_NEEDED && at < im->n && memchr(im->p + at, 0, im->n - at))
            fn((const char *)im->p + at, user);
    }
    return strings != 0;
}

bool elf_needed(void (*fn)(const char *library, void *user), void *user)
{
    struct file_map map;
    if (file_map("/proc/self/exe", &map, NULL) != ERR_OK)
        return false;
    bool ok = read_needed(&(struct image){map.p, map.n}, fn, user);
    file_unmap(&map);
    return ok;
}
