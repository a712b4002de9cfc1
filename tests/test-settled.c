/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who asks by a signal whether all has been seen to is answered by a file: then, not before, and once. */

#undef NDEBUG

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/settled.h"
#include "tests/fake-outside.h"

static bool is_answered(const char *file) {
        struct stat st;

        return stat(file, &st) == 0 && st.st_size > 0;
}

static int on_something(sd_event_source *s, void *userdata) {
        (void) s;
        (void) userdata;
        return 0;
}

/* All that is at hand, and something more: an event of a device, or a worker's answer. */
static void loop(sd_event *event) {
        sd_event_source *s;
        int r;

        CHECK(sd_event_add_defer(event, &s, on_something, NULL) >= 0);
        while ((r = sd_event_run(event, 0)) > 0)
                ;
        CHECK(r == 0);
        sd_event_source_disable_unref(s);
}

int main(void) {
        sd_event *event;
        Settled *settled;
        char file[64];
        sigset_t mask;
        Fake f;

        sigemptyset(&mask);
        sigaddset(&mask, SIGUSR1);
        CHECK(sigprocmask(SIG_BLOCK, &mask, NULL) == 0 && sd_event_new(&event) >= 0);

        fake_begin(&f);
        fake_policy(&f, "10.conf", "bftrack", UUID_X, "");
        fake_begin_manager(&f);
        (void) snprintf(file, sizeof(file), "%s/.settled", f.folder);
        CHECK(settled_new(event, f.manager, file, &settled) == 0);

        /* nobody has asked; then the first look has not been made; then a job is under way */
        loop(event);
        CHECK(!is_answered(file));
        CHECK(raise(SIGUSR1) == 0);
        loop(event);
        CHECK(!is_answered(file));
        fake_run(&f);
        CHECK(f.n_jobs == 1);
        loop(event);
        CHECK(!is_answered(file));
        fake_settle(&f);
        CHECK(get(&f, "bftrack", UUID_X, "")->on_device);
        loop(event);
        CHECK(is_answered(file));

        /* one answer for one question */
        CHECK(truncate(file, 0) == 0);
        loop(event);
        CHECK(!is_answered(file));
        CHECK(raise(SIGUSR1) == 0);
        loop(event);
        CHECK(is_answered(file));

        settled_free(settled);
        sd_event_unref(event);
        fake_deinit(&f);
        return EXIT_SUCCESS;
}
