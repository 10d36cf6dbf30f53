/* Runs a fuzz target over files and folders of files, with any compiler: the corpus as an ordinary
 * test. Exit code 0 when nothing crashed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    struct buf b;
    struct err e = {0};
    if (file_read(path, 64u << 20, &b, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    (void)LLVMFuzzerTestOneInput((const uint8_t *)buf_z(&b), b.n);
    buf_deinit(&b);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = 0, count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            bad += replay(argv[i]);
            count++;
            continue;
        }
        for (struct dirent *ent = readdir(d); ent; ent = readdir(d)) {
            char path[4096];
            if (ent->d_name[0] == '.')
                continue;
            if (file_join(path, sizeof path, argv[i], ent->d_name, NULL) == ERR_OK) {
                bad += replay(path);
                count++;
            }
        }
        closedir(d);
    }
    printf("%d inputs replayed\n", count);
    return bad != 0;
}
