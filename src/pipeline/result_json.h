/* result_json.h - what a result says of itself as JSON, on the command line and from the server alike.
 *
 * Each function puts members into an object that the caller has opened. What only the caller knows, it adds itself:
 * the path of an image that it wrote, the id of one that it keeps.
 *
 *     json_object(b, NULL);
 *     result_json_caption(b, r, language);
 *     json_put_z(b, "image", path);
 *     result_json_memory(b, vt_caption_stats(r), NULL);
 *     json_end_object(b); */
#ifndef VT_PIPELINE_RESULT_JSON_H
#define VT_PIPELINE_RESULT_JSON_H

#include "base/buf.h"
#include "pipeline/layered/stack.h"
#include "veetance.h"

/* model, prompt, steps, guidance, max_tokens: as the images were made, defaults filled in. */
void result_json_request(struct buf *b, const struct vt_request *q);
/* caption, language, tokens, complete. language: as asked for; NULL is English. */
/* "loras": [{"name", "strength"}]; nothing where there are none. */
void result_json_loras(struct buf *b, const struct vt_loras *loras);
void result_json_caption(struct buf *b, const struct vt_caption_result *r, const char *language);
/* dropped_empty, merged, recomposed, model, caption or prompt, seed, steps, guidance, resolution, working_width,
 * working_height. */
void result_json_layers(struct buf *b, const struct vt_layers_report *r);
/* x, y, width, height. */
void result_json_place(struct buf *b, int x, int y, int width, int height);
/* warnings, doubtful. */
void result_json_doubts(struct buf *b, const struct layers_doubt *doubts, size_t n);

/* passes: how many of the transformer's were computed, and left out. */
void result_json_passes(struct buf *b, const struct vt_stats *s);
/* seconds, and memory: what a run took. With a report also what its modulation tables took. */
void result_json_seconds(struct buf *b, const struct vt_stats *s,
                         const struct vt_layers_report *tables);
void result_json_memory(struct buf *b, const struct vt_stats *s,
                        const struct vt_layers_report *tables);

/* notes. text: strings with commas between, as they came. */
void result_json_notes(struct buf *b, const struct buf *text);

/* Not members: the plan as an object. */
void result_json_plan(struct buf *b, const struct vt_plan *p);

#endif
