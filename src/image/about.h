/* about.h - what an image's file says of where its pixels came from: a term of IPTC's "digital source type" and the
 * recipe. Both lie in an XMP packet, which PNG, JPEG, WebP and PSD can hold (xmp.h); docs/formats/provenance.md.
 *
 *     struct image_about a;
 *     image_about_init(&a);
 *     image_about_read(bytes, &a);     // of a file that anybody may have written
 *     if (a.source) ...
 *     image_about_deinit(&a);
 */
#ifndef VT_IMAGE_ABOUT_H
#define VT_IMAGE_ABOUT_H

#include "base/buf.h"
#include "base/str.h"
#include "image/png_save.h"

/* https://cv.iptc.org/newscodes/digitalsourcetype/ has the terms; these are the ones for what a model made. */
enum image_source {
    IMAGE_SOURCE_UNKNOWN,   /* a file says nothing then: it may be a photo */
    IMAGE_SOURCE_GENERATED, /* trainedAlgorithmicMedia: made of words alone */
    IMAGE_SOURCE_EDITED, /* compositeWithTrainedAlgorithmicMedia: a model changed a given image, or took it apart */
    IMAGE_SOURCE_COMPOSED, /* compositeSynthetic: put together of several, some of a model, by a person */
    IMAGE_SOURCES
};

enum { IMAGE_RECIPE_MAX_BYTES = 8 << 20 };

/* "trainedAlgorithmicMedia", ...; NULL for the unknown one. Static string. */
const char *image_source_term(enum image_source source);

struct image_about {
    enum image_source source;
    struct buf recipe; /* the text "parameters"; "" when there is none */
};

void image_about_init(struct image_about *a);
void image_about_deinit(struct image_about *a);
/* False without memory. */
bool image_about_copy(const struct image_about *from, struct image_about *to);
/* Nothing is said any more. */
void image_about_clear(struct image_about *a);

/* Of a PNG, JPEG, WebP or PSD file; for others, and where it is damaged, nothing is known. *out was initialised. */
void image_about_read(struct str bytes, struct image_about *out);

/* What is said of an image that is put together: *sum is of the first `before` parts, and next joins them. Parts of
 * different sources make a composed image; a recipe stays only where all have the same. */
void image_about_join(struct image_about *sum, size_t before, const struct image_about *next);

/* The texts of a PNG that says all this: XMP, and the recipe as "parameters", which other programs of the field read.
 * They live as long as the struct and what was given. */
struct image_about_texts {
    struct image_text texts[2];
    size_t n;
    struct buf packet;
};
void image_about_texts_init(struct image_about_texts *t, const struct image_about *a);
void image_about_texts_deinit(struct image_about_texts *t);

#endif
