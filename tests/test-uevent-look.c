/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The look at what is there, with devices that are made up: scandir() and what gets a device from libudev are the
 * test's own. A device whose name in sysfs has a "!" is told as any other.
 */

#undef NDEBUG

#include <dirent.h>
#include <libudev.h>

#include "daemon/text.h"
#include "daemon/uevent.h"
#include "tests/check.h"

#define ALL "/sys/class/block/cciss!c0d0 /sys/class/block/cciss!c0d0p1 /sys/class/block/loop0 "

typedef int (*Filter)(const struct dirent *e);
typedef int (*Compare)(const struct dirent **a, const struct dirent **b);

/* In no order, as a folder has them. The last one goes before it is asked for. */
static const char *const names[] = { "loop0", ".", "cciss!c0d0p1", "..", "cciss!c0d0", "gone" };

static char asked[256], told[256];

int __wrap_scandir64(const char *folder, struct dirent ***ret, Filter filter, Compare compare);
struct udev_device *__wrap_udev_device_new_from_syspath(struct udev *udev, const char *path);

static int compare_entries(const void *a, const void *b) {
        return strcmp((*(struct dirent *const *) a)->d_name, (*(struct dirent *const *) b)->d_name);
}

int __wrap_scandir64(const char *folder, struct dirent ***ret, Filter filter, Compare compare) {
        struct dirent **list = calloc(sizeof(names) / sizeof(names[0]), sizeof(*list));
        const struct dirent *first = NULL, *second = NULL;
        int n = 0;

        CHECK_STR(folder, "/sys/class/block");
        CHECK(list);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct dirent *e = calloc(1, sizeof(*e));

                CHECK(e && str_copy(e->d_name, sizeof(e->d_name), names[i]));
                if (filter(e))
                        list[n++] = e;
                else
                        free(e);
        }

        qsort(list, (size_t) n, sizeof(*list), compare_entries);
        first = list[0];
        second = list[1];
        CHECK(compare(&first, &second) < 0 && compare(&second, &first) > 0);
        *ret = list;
        return n;
}

static void be(const char *key, const char *value) {
        CHECK(setenv(key, value, 1) == 0);
}

struct udev_device *__wrap_udev_device_new_from_syspath(struct udev *udev, const char *path) {
        bool is_partition = str_equal(path, "/sys/class/block/cciss!c0d0p1");
        bool is_loop = str_equal(path, "/sys/class/block/loop0");

        if (str_equal(path, "/sys/class/block/gone"))
                return NULL;

        CHECK(strlen(asked) + strlen(path) + 2 < sizeof(asked));
        (void) stpcpy(stpcpy(asked + strlen(asked), path), " ");

        CHECK(clearenv() == 0); /* libudev has cut the last ones in two */
        be("SUBSYSTEM", "block");
        be("SEQNUM", "1");
        be("ACTION", "add");
        be("MAJOR", "104");
        be("MINOR", is_partition ? "1" : "0");
        be("DEVTYPE", is_partition ? "partition" : "disk");
        if (is_partition)
                be("PARTN", "1");
        be("DEVNAME", is_partition ? "cciss/c0d0p1" : is_loop ? "loop0" : "cciss/c0d0");
        be("DEVPATH", is_partition ? "/devices/pci/block/cciss!c0d0/cciss!c0d0p1" :
                      is_loop ? "/devices/virtual/block/loop0" : "/devices/pci/block/cciss!c0d0");
        return udev_device_new_from_environment(udev);
}

static void on_device(const DeviceEvent *e, void *userdata) {
        (void) userdata;
        CHECK(e->source == EVENT_ENUMERATION && e->action == EVENT_ADD && e->seqnum == 0);
        CHECK(strlen(told) + strlen(e->name) + 2 < sizeof(told));
        (void) stpcpy(stpcpy(told + strlen(told), e->name), " ");
}

static void on_appearance(bool gone, void *userdata) {
        (void) gone;
        (void) userdata;
}

static void on_nothing(void *userdata) {
        (void) userdata;
}

int main(void) {
        const UEventHandler handler = { .device = on_device, .module = on_appearance, .interface = on_appearance,
                                        .lost = on_nothing, .done = on_nothing };
        sd_event *event = NULL;
        UEvent *u = NULL;

        CHECK(sd_event_new(&event) >= 0);
        CHECK(uevent_new(event, &handler, &u) >= 0);
        CHECK(uevent_look(u) == 0);
        CHECK_STR(told, "cciss/c0d0 cciss/c0d0p1 loop0 ");
        CHECK_STR(asked, ALL);
        uevent_free(u);
        sd_event_unref(event);
        return EXIT_SUCCESS;
}
