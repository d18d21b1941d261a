// A window of the host's Wayland compositor, from inside a guest: speaks the Wayland protocol over a channel of the card's
// (CROSS_DOMAIN context, channel type 1), with a wl_shm pool in memory of the host.
// usage: wayland_window WIDTH HEIGHT RRGGBB; each line RRGGBB on standard input is another colour.
#include <CDRM.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CROSS_DOMAIN = 5, WAYLAND = 1, QUERY_RING = 0, CHANNEL_RING = 1 };
enum { RING_BYTES = 4096, SEND_BYTES = 16 + 3 * 4 * 28, R8 = 0x20203852, XRGB8888 = 1 };
enum { DISPLAY = 1, REGISTRY, COMPOSITOR, SHM, SHELL, SURFACE, SHELL_SURFACE, TOPLEVEL, POOL, BUFFER };

static int card;
static const uint32_t *query_ring, *channel_ring;
static uint32_t width, height, *pixels;

static void need(int result, const char *what) {
    if (result >= 0) return;
    fprintf(stderr, "%s: %s\n", what, strerror(-result));
    exit(1);
}

// The channel.

static void submit(const void *bytes, uint32_t size, uint32_t ring) { need(cdrm_submit(card, bytes, size, ring), "submit"); }

// Memory that is mapped here; its resource.
static uint32_t make(uint32_t memory, uint64_t number, uint64_t size, void *mapping) {
    uint32_t flags = CDRM_BLOB_MAPPABLE | (memory == CDRM_BLOB_HOST3D ? CDRM_BLOB_SHAREABLE : 0);
    struct cdrm_blob blob = {.memory = memory, .flags = flags, .byte_count = size, .id = number};
    need(cdrm_create_blob(card, &blob), "blob");
    uint64_t offset;
    need(cdrm_map_offset(card, blob.handle, &offset), "map");
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)offset);
    if (bytes == MAP_FAILED) exit(1);
    memcpy(mapping, &bytes, sizeof bytes);
    return blob.resource;
}

static void open_channel(void) {
    card = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
    need(cdrm_context(card, CROSS_DOMAIN, 2, 1 << QUERY_RING | 1 << CHANNEL_RING), "context");
    uint32_t query = make(CDRM_BLOB_GUEST, 0, RING_BYTES, &query_ring);
    uint32_t channel = make(CDRM_BLOB_GUEST, 0, RING_BYTES, &channel_ring);
    uint32_t start[] = {1 | 20 << 16, 0, query, channel, WAYLAND};
    submit(start, sizeof start, CDRM_NO_RING);
}

static void ask_for_more(void) {
    uint32_t command[] = {3 | 16 << 16, 0, 0, 0};
    submit(command, sizeof command, CHANNEL_RING);
}

static void send_with(const uint32_t *words, uint32_t count, uint32_t resource) {
    uint32_t command[SEND_BYTES / 4 + 64] = {0};
    uint32_t size = SEND_BYTES + 4 * count;
    command[0] = 4 | size << 16;
    command[2] = resource ? 1 : 0;
    command[3] = 4 * count;
    command[4] = resource;
    command[4 + 28] = resource ? 1 : 0;
    memcpy(command + SEND_BYTES / 4, words, 4 * count);
    submit(command, size, CDRM_NO_RING);
}

// Wayland.

// A request whose arguments are words.
static void request(uint32_t object, uint32_t code, const uint32_t *arguments, uint32_t count, uint32_t resource) {
    uint32_t words[64] = {object, code | (8 + 4 * count) << 16};
    memcpy(words + 2, arguments, 4 * count);
    send_with(words, 2 + count, resource);
}

#define REQUEST(object, code, ...)                                                                    \
    do {                                                                                              \
        const uint32_t arguments[] = {__VA_ARGS__};                                                   \
        request(object, code, arguments, sizeof arguments / 4, 0);                                    \
    } while (0)

static void bind_global(uint32_t name, const char *interface, uint32_t id) {
    uint32_t words[32] = {name, (uint32_t)strlen(interface) + 1};
    uint32_t room = (words[1] + 3) / 4;
    memcpy(words + 2, interface, words[1]);
    words[2 + room] = 1;
    words[3 + room] = id;
    request(REGISTRY, 0, words, 4 + room, 0);
}

static int globals;

static void found(uint32_t name, const char *interface) {
    if (!strcmp(interface, "wl_compositor")) bind_global(name, interface, COMPOSITOR);
    else if (!strcmp(interface, "wl_shm")) bind_global(name, interface, SHM);
    else if (!strcmp(interface, "xdg_wm_base")) bind_global(name, interface, SHELL);
    else return;
    if (++globals < 3) return;
    REQUEST(COMPOSITOR, 0, SURFACE);
    REQUEST(SHELL, 2, SHELL_SURFACE, SURFACE);
    REQUEST(SHELL_SURFACE, 1, TOPLEVEL);
    request(SURFACE, 6, NULL, 0, 0);
}

static void make_buffer(void) {
    uint32_t size = width * height * 4, ask[] = {2 | 24 << 16, 0, size, 1, R8, 0};
    submit(ask, sizeof ask, QUERY_RING);
    need(cdrm_read_events(card), "answer");
    uint32_t room = query_ring[10], blob = query_ring[12];
    uint32_t pool[] = {POOL, room};
    request(SHM, 0, pool, 2, make(CDRM_BLOB_HOST3D, blob, room, &pixels));
    REQUEST(POOL, 0, BUFFER, 0, width, height, width * 4, XRGB8888);
}

static void show(uint32_t colour) {
    // Weston's screenshots have the unused byte as alpha.
    for (uint32_t i = 0; i < width * height; i++) pixels[i] = 0xff000000 | colour;
    REQUEST(SURFACE, 1, BUFFER, 0, 0);
    REQUEST(SURFACE, 2, 0, 0, width, height);
    request(SURFACE, 6, NULL, 0, 0);
    printf("shown %06x\n", colour);
}

static void event(uint32_t object, uint32_t code, const uint32_t *words, uint32_t colour) {
    if (object == DISPLAY && code == 0) {
        printf("error %u of object %u: %s\n", words[1], words[0], (const char *)(words + 3));
        exit(1);
    }
    if (object == REGISTRY && code == 0) found(words[0], (const char *)(words + 2));
    if (object == SHELL && code == 0) REQUEST(SHELL, 3, words[0]);
    if (object != SHELL_SURFACE || code != 0) return;
    REQUEST(SHELL_SURFACE, 4, words[0]);
    if (pixels) return;
    make_buffer();
    show(colour);
}

// What has come and is not a whole event yet.
static uint8_t heard[2 * RING_BYTES];
static uint32_t heard_bytes;

static void receive(uint32_t colour) {
    need(cdrm_read_events(card), "receive");
    uint32_t bytes = channel_ring[3];
    if (bytes == 0) {
        printf("over\n");
        exit(0);
    }
    memcpy(heard + heard_bytes, (const uint8_t *)channel_ring + SEND_BYTES, bytes);
    heard_bytes += bytes;
    uint32_t done = 0;
    while (heard_bytes - done >= 8) {
        const uint32_t *words = (const uint32_t *)(heard + done);
        uint32_t size = words[1] >> 16;
        if (heard_bytes - done < size) break;
        event(words[0], words[1] & 0xffff, words + 2, colour);
        done += size;
    }
    heard_bytes -= done;
    memmove(heard, heard + done, heard_bytes);
    ask_for_more();
}

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: wayland_window WIDTH HEIGHT RRGGBB\n"), 2;
    width = (uint32_t)atoi(arguments[1]);
    height = (uint32_t)atoi(arguments[2]);
    uint32_t colour = (uint32_t)strtoul(arguments[3], NULL, 16);
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_channel();
    ask_for_more();
    REQUEST(DISPLAY, 1, REGISTRY);
    struct pollfd ends[] = {{.fd = card, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (poll(ends, 2, -1) >= 0) {
        char line[32];
        if (ends[0].revents) receive(colour);
        if (ends[1].revents && pixels && fgets(line, sizeof line, stdin)) show((uint32_t)strtoul(line, NULL, 16));
    }
    return 1;
}
