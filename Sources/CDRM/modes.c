#include "request.h"
#include <CDRM.h>
#include <stdlib.h>

struct resources {
    uint64_t framebuffers, crtcs, connectors, encoders;
    uint32_t framebuffer_count, crtc_count, connector_count, encoder_count;
    uint32_t least_width, most_width, least_height, most_height;
};
struct connector {
    uint64_t encoders, modes, properties, property_values;
    uint32_t mode_count, property_count, encoder_count;
    uint32_t encoder, id, type, type_id, connection, width, height, subpixel, zero;
};
struct crtc {
    uint64_t connectors;
    uint32_t connector_count, id, framebuffer, x, y, gamma_size, has_mode;
    struct cdrm_mode mode;
};
struct framebuffer {
    uint32_t id, width, height, format, flags;
    uint32_t handles[4], strides[4], offsets[4];
    uint64_t modifiers[4];
};
struct clip { uint16_t left, top, right, bottom; };
struct removal { uint32_t framebuffer; };
struct dirty { uint32_t framebuffer, flags, colour, clip_count; uint64_t clips; };

enum { MOST_SCREENS = 16, CONNECTED = 1 };

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

int cdrm_screens(int card, struct cdrm_screen *screens, uint32_t room) {
    uint32_t crtcs[MOST_SCREENS], connectors[MOST_SCREENS];
    struct resources resources = {
        .crtcs = (uintptr_t)crtcs, .crtc_count = MOST_SCREENS,
        .connectors = (uintptr_t)connectors, .connector_count = MOST_SCREENS};
    int result = request(card, CORE(0xa0, resources), &resources);
    if (result < 0) return result;
    uint32_t count = least(least(resources.crtc_count, resources.connector_count), least(room, MOST_SCREENS));
    for (uint32_t i = 0; i < count; i++) screens[i] = (struct cdrm_screen){connectors[i], crtcs[i]};
    return (int)count;
}

int cdrm_modes(int card, uint32_t id, struct cdrm_mode *modes, uint32_t room) {
    // With a count of 0 the kernel looks for modes anew.
    struct connector probe = {.id = id};
    int result = request(card, CORE(0xa7, connector), &probe);
    if (result < 0 || probe.connection != CONNECTED || probe.mode_count == 0) return result;
    uint32_t count = probe.mode_count;
    struct cdrm_mode *all = calloc(count, sizeof *all);
    if (!all) return -ENOMEM;
    struct connector connector = {.id = id, .modes = (uintptr_t)all, .mode_count = count};
    result = request(card, CORE(0xa7, connector), &connector);
    count = least(least(count, connector.mode_count), room);
    for (uint32_t i = 0; result == 0 && i < count; i++) modes[i] = all[i];
    free(all);
    return result < 0 ? result : (int)count;
}

int cdrm_add_framebuffer(int card, const struct cdrm_picture *picture, uint32_t *id) {
    struct framebuffer framebuffer = {
        .width = picture->width, .height = picture->height, .format = picture->format,
        .handles = {picture->handle}, .strides = {picture->stride}, .offsets = {picture->offset}};
    int result = request(card, CORE(0xb8, framebuffer), &framebuffer);
    *id = framebuffer.id;
    return result;
}

int cdrm_remove_framebuffer(int card, uint32_t id) {
    struct removal removal = {id};
    return request(card, CORE(0xaf, removal), &removal);
}

int cdrm_show(int card, struct cdrm_screen screen, const struct cdrm_mode *mode, uint32_t framebuffer) {
    struct crtc crtc = {
        .connectors = (uintptr_t)&screen.connector, .connector_count = 1, .id = screen.crtc,
        .framebuffer = framebuffer, .has_mode = 1, .mode = *mode};
    return request(card, CORE(0xa2, crtc), &crtc);
}

int cdrm_mark_dirty(int card, uint32_t framebuffer, uint16_t left, uint16_t top, uint16_t right, uint16_t bottom) {
    struct clip clip = {left, top, right, bottom};
    struct dirty dirty = {.framebuffer = framebuffer, .clip_count = 1, .clips = (uintptr_t)&clip};
    return request(card, CORE(0xb1, dirty), &dirty);
}
