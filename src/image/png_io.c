/* png_io.c - libpng's callbacks; see png_io.h. */
#include "image/png_io.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static void on_error(png_structp png, png_const_charp text)
{
    struct png_io *io = png_get_error_ptr(png);
    if (io->nomem)
        io->rc = err_set(io->e, ERR_NOMEM, "%s: out of memory", io->doing);
    else if (io->past_end)
        io->rc = err_set(io->e, ERR_FORMAT, "the PNG is broken: it has data beyond its last row");
    else if (io->cut)
        io->rc = err_set(io->e, ERR_FORMAT, "the PNG is cut: its data end too early");
    else
        io->rc = err_set(io->e, ERR_FORMAT, "%s: %.200s", io->doing, text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    struct png_io *io = png_get_error_ptr(png);
    if (!io->warning[0])
        (void)snprintf(io->warning, sizeof io->warning, "%s", text);
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
    struct png_io *io = png_get_mem_ptr(png);
    void *p = mem_try_alloc(n);
    if (!p)
        io->nomem = true;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    mem_free(p);
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct png_io *io = png_get_io_ptr(png);
    if (n > io->bytes.n) {
        io->cut = true;
        png_error(png, "no more data");
    }
    if (io->in_tail && n > io->tail_left) {
        io->past_end = true;
        png_error(png, "data beyond the image");
    }
    if (io->in_tail)
        io->tail_left -= n;
    memcpy(to, io->bytes.p, n);
    io->bytes = str_skip(io->bytes, n);
}

enum err_code png_io_open_read(struct png_io *io, struct str bytes, struct err *e)
{
    *io = (struct png_io){.e = e, .doing = "the PNG is broken", .bytes = bytes};
    io->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, io, on_error, on_warning, io,
                                       on_malloc, on_free);
    io->info = io->png ? png_create_info_struct(io->png) : NULL;
    if (!io->info) {
        png_io_close_read(io);
        return err_set(e, ERR_NOMEM, "no memory to read a PNG");
    }
    png_set_read_fn(io->png, io, on_read);
    return ERR_OK;
}

enum err_code png_io_open_write(struct png_io *io, struct err *e)
{
    *io = (struct png_io){.e = e, .doing = "cannot write a PNG"};
    io->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, io, on_error, on_warning, io,
                                        on_malloc, on_free);
    io->info = io->png ? png_create_info_struct(io->png) : NULL;
    if (!io->info) {
        png_io_close_write(io);
        return err_set(e, ERR_NOMEM, "no memory to write a PNG");
    }
    return ERR_OK;
}

void png_io_close_read(struct png_io *io)
{
    if (io->png)
        png_destroy_read_struct(&io->png, &io->info, NULL);
}

void png_io_close_write(struct png_io *io)
{
    if (io->png)
        png_destroy_write_struct(&io->png, &io->info);
}
