/* embed.h - a file of the source tree as read-only bytes of the program, taken in by the assembler as it is.
 *
 *     EMBED_FILE(page_index, VT_WEB_DIR "/index.html")
 *     ... page_index, (size_t)(page_index_end - page_index) ...
 *
 * path is a string literal; the build gives its folder as a definition and lists the file as what the object
 * depends on (OBJECT_DEPENDS in CMakeLists.txt). A zero byte follows the last one. */
#ifndef VT_BASE_EMBED_H
#define VT_BASE_EMBED_H

#define EMBED_FILE(symbol, path)                                                                   \
    __asm__(".section .rodata\n"                                                                   \
            ".global " #symbol "\n"                                                                \
            ".hidden " #symbol "\n" #symbol ":\n"                                                  \
            ".incbin \"" path "\"\n"                                                               \
            ".global " #symbol "_end\n"                                                            \
            ".hidden " #symbol "_end\n" #symbol "_end:\n"                                          \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const unsigned char symbol[], symbol##_end[];

#endif
