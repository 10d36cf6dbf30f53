/* lora.h - a file of small changes to a network's matrices, as the usual trainers write it.
 *
 * Three forms. s is the scale: alpha / rank where the file has an alpha.
 *
 *   LoRA   W + s up down                          lora_A or lora_down [rank, in], lora_B or lora_up [out, rank]
 *   LoHa   W + s (a1 b1) o (a2 b2), by elements   hada_w1_a [out, rank], hada_w1_b [rank, in], hada_w2_a, hada_w2_b
 *   LoKr   W + s w1 (x) w2, Kronecker's product   lokr_w1 [m, n] and lokr_w2 [p, q] for W [m p, n q], each also as the
 *                                                 product of lokr_wX_a and lokr_wX_b
 *
 * A name is prefix, module and part ("transformer." "transformer_blocks.0.attn.to_q" ".lora_A.weight"). Modules are
 * called as in any naming of the network (naming_tables.c): so a change of a fused matrix becomes changes of rows of
 * it, and what is fused in the network and apart in the file needs nothing. docs/lora.md lists who writes what.
 *
 * Everything borrows from the file's map. What a file says is believed only after lora_open has checked it. */
#ifndef VT_WEIGHTS_LORA_H
#define VT_WEIGHTS_LORA_H

#include "weights/component.h"

struct lora;

/* ERR_FORMAT: no LoRA, of a form that is not known (DoRA, OFT, ...), or halves that do not fit each other; the tensor
 * is named. A folder may be given that holds one file, as peft writes it. */
ERR_MUST_CHECK enum err_code lora_open(const char *path, struct lora **out, struct err *e);
/* The same for an opened checkpoint, which then belongs to the LoRA (closed also on failure). */
ERR_MUST_CHECK enum err_code lora_from_checkpoint(struct checkpoint *cp, struct lora **out,
                                                  struct err *e);
void lora_close(struct lora *l);
/* Do its names look like a LoRA's? Says nothing about whether it can be used. */
bool lora_is(const struct checkpoint *cp);

const char *lora_path(const struct lora *l);
const struct checkpoint *lora_checkpoint(const struct lora *l);

struct lora_facts {
    enum component_kind kind; /* that it was trained for; COMPONENT_UNKNOWN: cannot be told */
    int64_t width;            /* of that network; 0: not told */
    int64_t rank;             /* the largest; of LoKr that of its decomposed factors, or 0 */
    size_t modules;
    const char *form; /* "LoRA", "LoHa", "LoKr"; static */
    char base[48];    /* "FLUX.2-klein 4B" */
};
void lora_facts(const struct lora *l, struct lora_facts *out);
/* "LoRA of rank 16 for FLUX.2-klein 4B" */
void lora_describe(const struct lora_facts *f, char *out, size_t n);

/* ---- what it changes --------------------------------------------------------------------------------- */

/* Rows that are made of stored ones. */
enum lora_making {
    LORA_STORED,     /* of a */
    LORA_PRODUCT,    /* of a b */
    LORA_PAIRS_DOWN, /* row i * d.rows + j: row i of b times row j of d, by elements */
    LORA_PAIRS_UP,   /* column i * c.columns + j: column i of a times column j of c */
    LORA_ELEMENTS,   /* of (a b) o (c d) */
};

struct lora_matrix {
    enum lora_making making;
    const struct weights_tensor *a, *b, *c, *d;
    int64_t row0, rows, columns; /* the first row that is meant, and the shape from there on */
};

/* y += scale * up (down x); or, where mix has rows, scale * (mix (x) (up down)) x, of whose rows those from `skip` on
 * are meant. down without rows: left out. */
struct lora_term {
    struct lora_matrix down, up, mix;
    int64_t skip;
    float scale;
};

enum { LORA_MAX_TERMS = 4 };

/* What the file has for a canonical matrix [rows, columns] of a network (-1: of any shape): *n terms, mostly none or one.
 * ERR_FORMAT: the shapes do not fit. */
ERR_MUST_CHECK enum err_code lora_find(struct lora *l, enum component_kind kind,
                                       const char *canonical, int64_t rows, int64_t columns,
                                       struct lora_term out[LORA_MAX_TERMS], int *n, struct err *e);
/* After every matrix of the network was asked for: ERR_FORMAT names what nobody asked for. */
ERR_MUST_CHECK enum err_code lora_check_all_found(const struct lora *l, enum component_kind kind,
                                                  struct err *e);

/* n rows from row0 on, as float32. From any thread. */
ERR_MUST_CHECK enum err_code lora_matrix_rows(const struct lora_matrix *m, int64_t row0, int64_t n,
                                              float *dst, struct err *e);

#endif
