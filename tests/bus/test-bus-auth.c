/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who may do what: every answer of polkit and none, callers that leave, devices that change in
 * between, too many calls.
 */

#include <unistd.h>

#include "tests/bus/fixture.h"

#define DENIED SD_BUS_ERROR_ACCESS_DENIED

static sd_bus_message *attach(sd_bus *bus) {
        sd_bus_message *m = client_call(bus, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Attach");

        assert(sd_bus_message_append(m, "ssa{sv}", "/dev/sda1", "bftrack", 0) >= 0);
        return m;
}

static sd_bus_message *ctl(sd_bus *bus, const char *filter, uint32_t command) {
        sd_bus_message *m = client_call(bus, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Ctl");

        assert(sd_bus_message_append(m, "ssuaya(uay)a{sv}", "/dev/sda1", filter, command, 0, 0, 0) >= 0);
        return m;
}

static void is_served(sd_bus *bus, void *arg) {
        sd_bus_message *reply = client_expect_reply(bus, attach(bus), "o");
        const char *path;

        (void) arg;
        assert(sd_bus_message_read(reply, "o", &path) > 0);
        assert(strcmp(path, PATH_A) == 0);
        sd_bus_message_unref(reply);
}

static void is_served_twice(sd_bus *bus, void *arg) {
        is_served(bus, arg);
        is_served(bus, arg);
}

static void is_denied(sd_bus *bus, void *arg) {
        client_expect_error(bus, attach(bus), DENIED, arg);
}

static void test_root(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.polkit = MOCK_POLKIT_NO;
        mock_manager_add(f.manager, "bftrack", UUID_A);
        fixture_client(&f, 0, is_served, NULL);
        assert(f.n_questions == 0 && f.manager->n_attach == 1);
        assert(strcmp(f.manager->filter, "bftrack") == 0 && strcmp(f.manager->device, "/dev/sda1") == 0);
        fixture_deinit(&f);
}

static void test_polkit_absent(void) {
        Fixture f;

        fixture_init(&f, FIXTURE_WITHOUT_POLKIT);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        fixture_client(&f, NOBODY, is_denied, (void *) "polkit is not answering");
        assert(f.manager->n_attach == 0);
        fixture_client(&f, 0, is_served, NULL);
        assert(f.manager->n_attach == 1 && f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static void test_polkit_not_asked(void) {
        Fixture f;

        fixture_init(&f, FIXTURE_NEVER_ASK_POLKIT);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        fixture_client(&f, NOBODY, is_denied, (void *) "root only");
        fixture_client(&f, 0, is_served, NULL);
        assert(f.manager->n_attach == 1 && f.n_questions == 0);
        fixture_deinit(&f);
}

static void test_yes(void) {
        Fixture f;

        fixture_init(&f, 0);
        mock_manager_add(f.manager, "bftrack", UUID_A);

        /* each is asked for anew */
        fixture_client(&f, NOBODY, is_served_twice, NULL);
        assert(f.n_questions == 2 && f.manager->n_attach == 2 && f.flags == 0);
        assert(f.subject[0] == ':' && strcmp(f.action, "org.blkfilter1.attach") == 0);
        assert(strstr(f.details, "device=/dev/sda1;"));
        assert(strstr(f.details, "identity=PARTUUID=" UUID_A ";"));
        assert(strstr(f.details, "filter=bftrack;"));
        assert(!strstr(f.details, "command="));
        assert(strstr(f.details,
                      "polkit.message=Authentication is required to attach the filter $(filter) to $(device).;"));

        /* and what is said no to next is refused */
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, is_denied, (void *) "does not allow org.blkfilter1.attach");
        assert(f.n_questions == 3 && f.manager->n_attach == 2 && f.bus->n_calls == 0);
        fixture_deinit(&f);
}

typedef struct Options {
        int choose, persistent; /* -1: not given */
        const char *refused;    /* part of the error; NULL: served */
        const char *odd;        /* another one, of type s; NULL none */
} Options;

static void attaches_with(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, BLKFILTER_OBJECT_ROOT, BLKFILTER_INTERFACE_MANAGER, "Attach");
        const Options *o = arg;

        assert(sd_bus_message_append(m, "ss", "/dev/sda1", "bftrack") >= 0);
        assert(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        if (o->choose >= 0)
                assert(sd_bus_message_append(m, "{sv}", "choose", "b", o->choose) >= 0);
        if (o->persistent >= 0)
                assert(sd_bus_message_append(m, "{sv}", "persistent", "b", o->persistent) >= 0);
        if (o->odd)
                assert(sd_bus_message_append(m, "{sv}", o->odd, "s", "yes") >= 0);
        assert(sd_bus_message_close_container(m) >= 0);

        if (o->refused)
                client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, o->refused);
        else
                sd_bus_message_unref(client_expect_reply(bus, m, "o"));
}

/* What is wanted besides comes through the question, as it was asked; what is not known is refused before it. */
static void test_attach_options(void) {
        static const Options good[] = {
                { -1, -1, NULL, NULL }, { 0, 0, NULL, NULL }, { 1, -1, NULL, NULL },
                { -1, 1, NULL, NULL },  { 1, 1, NULL, NULL },
        };
        static const Options bad[] = { { -1, -1, "\"chose\"", "chose" }, { -1, -1, "\"b\"", "choose" } };
        Fixture f;

        fixture_init(&f, 0);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                fixture_client(&f, NOBODY, attaches_with, (void *) &good[i]);
                assert(f.manager->n_attach == i + 1 && f.n_questions == i + 1);
                assert(f.manager->options.choose == (good[i].choose > 0));
                assert(f.manager->options.persistent == (good[i].persistent > 0));
        }

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                fixture_client(&f, NOBODY, attaches_with, (void *) &bad[i]);
        assert(f.manager->n_attach == 5 && f.n_questions == 5);
        fixture_deinit(&f);
}

static void is_challenged(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, attach(bus), SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "password");
}

static void is_challenged_interactively(sd_bus *bus, void *arg) {
        sd_bus_message *m = attach(bus);

        (void) arg;
        assert(sd_bus_message_set_allow_interactive_authorization(m, true) >= 0);
        client_expect_error(bus, m, DENIED, "pkttyagent");
}

static void test_challenge(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.polkit = MOCK_POLKIT_CHALLENGE;
        fixture_client(&f, NOBODY, is_challenged, NULL);
        assert(f.n_questions == 1 && f.flags == 0);
        fixture_client(&f, NOBODY, is_challenged_interactively, NULL);
        assert(f.n_questions == 2 && f.flags == 1);
        assert(f.manager->n_attach == 0);
        fixture_deinit(&f);
}

static void test_polkit_errs(void) {
        Fixture f;

        fixture_init(&f, 0);
        f.polkit = MOCK_POLKIT_ERROR;
        fixture_client(&f, NOBODY, is_denied, (void *) "polkit is not answering (made up)");
        f.polkit = MOCK_POLKIT_NONSENSE;
        fixture_client(&f, NOBODY, is_denied, (void *) "makes no sense");
        assert(f.n_questions == 2 && f.manager->n_attach == 0 && f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static void test_caller_leaves(void) {
        Fixture f;
        pid_t pid;

        fixture_init(&f, 0);
        f.polkit = MOCK_POLKIT_HOLD;
        pid = fixture_spawn(&f, NOBODY, is_served, NULL);
        UNTIL(&f, f.n_questions == 1);
        assert(f.bus->n_calls == 1 && f.n_cancelled == 0);

        fixture_kill(pid);
        UNTIL(&f, f.bus->n_calls == 0 && f.n_cancelled == 1);

        /* a yes that comes too late is nobody's */
        fixture_polkit_release(&f, true);
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, is_denied, NULL);
        assert(f.manager->n_attach == 0 && f.n_questions == 2);
        fixture_deinit(&f);
}

static void test_caller_leaves_acting(void) {
        Fixture f;
        pid_t pid;

        fixture_init(&f, 0);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        f.manager->hold = true;
        pid = fixture_spawn(&f, 0, is_served, NULL);
        UNTIL(&f, f.manager->n_attach == 1);
        fixture_kill(pid);

        /* what is begun is not broken off; another caller is served in between */
        f.manager->hold = false;
        {
                RequestDone done = f.manager->done;
                void *userdata = f.manager->done_userdata;

                fixture_client(&f, 0, is_served, NULL);
                f.manager->done = done;
                f.manager->done_userdata = userdata;
        }
        assert(f.bus->n_calls == 1 && f.manager->n_forget == 0);
        mock_manager_answer(f.manager);
        assert(f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static void is_stale(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, attach(bus), BLKFILTER_ERROR_PREFIX "Stale", NULL);
}

static void is_gone(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, attach(bus), BLKFILTER_ERROR_PREFIX "NoSuchDevice", NULL);
}

static void change_uid(Fixture *f) {
        f->manager->subject.uid++;
}

static void change_identity(Fixture *f) {
        f->manager->subject.identity[sizeof("PARTUUID=") - 1] ^= 1;
}

static void change_label(Fixture *f) {
        strcat(f->manager->subject.identity, " PARTLABEL=other");
}

static void change_disk(Fixture *f) {
        strcpy(f->manager->subject.disk, "sdb");
}

static void change_presence(Fixture *f) {
        f->manager->resolve_error = REQUEST_E_NO_SUCH_DEVICE;
}

static void test_stale(void) {
        void (*const changes[])(Fixture *) = { change_uid, change_identity, change_label, change_disk };
        Fixture f;

        fixture_init(&f, 0);
        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                f.on_question = changes[i];
                fixture_client(&f, NOBODY, is_stale, NULL);
        }

        f.on_question = change_presence;
        fixture_client(&f, NOBODY, is_gone, NULL);
        assert(f.n_questions == 5 && f.manager->n_attach == 0 && f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static void attachment_is_stale(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, PATH_A, BLKFILTER_INTERFACE_ATTACHMENT, "Detach");

        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        client_expect_error(bus, m, arg, NULL);
}

static void remove_attachment(Fixture *f) {
        mock_manager_remove(f->manager, f->manager->attachments.items[0]);
}

static void lose_attachment(Fixture *f) {
        f->manager->attachments.items[0]->on_device = false;
}

static void test_stale_attachment(void) {
        Attachment *a;
        Fixture f;

        fixture_init(&f, 0);
        a = mock_manager_add(f.manager, "bftrack", UUID_A);
        assert(shared_copy(&a->device, "sda1") == 0);
        a->on_device = true;

        /* the device of that name is not the one it was attached to */
        a->device_uid = f.manager->subject.uid + 1;
        fixture_client(&f, NOBODY, attachment_is_stale, (void *) "org.blkfilter1.Error.Stale");
        assert(f.n_questions == 0);

        a->device_uid = f.manager->subject.uid;
        f.on_question = lose_attachment;
        fixture_client(&f, NOBODY, attachment_is_stale, (void *) "org.blkfilter1.Error.NotAttached");
        assert(f.n_questions == 1);

        a->on_device = true;
        f.on_question = remove_attachment;
        fixture_client(&f, NOBODY, attachment_is_stale, (void *) "org.blkfilter1.Error.Stale");
        assert(f.n_questions == 2 && f.manager->n_detach == 0);
        fixture_deinit(&f);
}

static sd_bus_message *forget(sd_bus *bus) {
        sd_bus_message *m = client_call(bus, PATH_A, BLKFILTER_INTERFACE_ATTACHMENT, "Forget");

        assert(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        return m;
}

static void forgets(sd_bus *bus, void *arg) {
        if (arg)
                client_expect_error(bus, forget(bus), arg, NULL);
        else
                sd_bus_message_unref(client_expect_reply(bus, forget(bus), ""));
}

static void forgets_with_option(sd_bus *bus, void *arg) {
        sd_bus_message *m = client_call(bus, PATH_A, BLKFILTER_INTERFACE_ATTACHMENT, "Forget");

        (void) arg;
        assert(sd_bus_message_append(m, "a{sv}", 1, "Really", "b", 1) >= 0);
        client_expect_error(bus, m, SD_BUS_ERROR_INVALID_ARGS, "\"Really\"");
}

/* What is on no device is forgotten with the same right as it is detached; no device is looked up for it. */
static void test_forget(void) {
        Fixture f;

        fixture_init(&f, 0);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        f.manager->resolve_error = REQUEST_E_NO_SUCH_DEVICE;
        f.polkit = MOCK_POLKIT_NO;
        fixture_client(&f, NOBODY, forgets, (void *) DENIED);
        assert(f.n_questions == 1 && f.manager->n_forgotten == 0);
        assert(strcmp(f.action, "org.blkfilter1.detach") == 0);
        assert(strstr(f.details, "device=;identity=PARTUUID=" UUID_A ";filter=bftrack;"));

        fixture_client(&f, NOBODY, forgets_with_option, NULL);
        assert(f.n_questions == 1 && f.manager->n_forgotten == 0);

        f.polkit = MOCK_POLKIT_YES;
        fixture_client(&f, NOBODY, forgets, NULL);
        assert(f.n_questions == 2 && f.manager->n_forgotten == 1);
        assert(strcmp(f.manager->attachment, strrchr(PATH_A, '/') + 1) == 0);

        f.manager->answer_error = REQUEST_E_WANTED;
        fixture_client(&f, 0, forgets, (void *) "org.blkfilter1.Error.Wanted");
        assert(f.n_questions == 2 && f.manager->n_forgotten == 2);

        /* it goes while somebody thinks about it */
        f.on_question = remove_attachment;
        fixture_client(&f, NOBODY, forgets, (void *) "org.blkfilter1.Error.Stale");
        assert(f.n_questions == 3 && f.manager->n_forgotten == 2 && f.bus->n_calls == 0);
        fixture_deinit(&f);
}

static void may_typed(sd_bus *bus, void *arg) {
        sd_bus_message_unref(client_expect_reply(bus, ctl(bus, arg, 0), "iayaay"));
}

static void refused_raw(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, ctl(bus, "somefilter", 0), BLKFILTER_ERROR_PREFIX "RawCommand", "RawCommands=yes");
}

static void test_ctl_actions(void) {
        Fixture f;

        fixture_init(&f, 0);
        fixture_client(&f, NOBODY, may_typed, (void *) "bfcount");
        assert(strcmp(f.action, "org.blkfilter1.ctl") == 0 && strstr(f.details, "command=0;"));
        /* one that is not known gets nowhere, unless the settings let it */
        fixture_client(&f, 0, refused_raw, NULL);
        assert(f.n_questions == 1 && f.manager->n_ctl == 1);
        f.manager->raw_commands = true;
        fixture_client(&f, NOBODY, may_typed, (void *) "somefilter");
        assert(strcmp(f.action, "org.blkfilter1.ctl-raw") == 0 && strstr(f.details, "command=0;"));
        assert(strstr(f.details, "unchecked"));
        assert(f.n_questions == 2 && f.manager->n_ctl == 2);
        fixture_deinit(&f);
}

/* Sends calls and does not wait; ends when it is ended. */
static void sends_many(sd_bus *bus, void *arg) {
        for (int i = 0; i < *(int *) arg; i++) {
                sd_bus_message *m = attach(bus);

                assert(sd_bus_send(bus, m, NULL) >= 0);
                sd_bus_message_unref(m);
        }

        assert(sd_bus_flush(bus) >= 0);
        for (;;)
                (void) pause();
}

static void is_too_much(sd_bus *bus, void *arg) {
        (void) arg;
        client_expect_error(bus, attach(bus), SD_BUS_ERROR_LIMITS_EXCEEDED, NULL);
}

static void sends_one_too_many(sd_bus *bus, void *arg) {
        for (int i = 0; i < 16; i++) {
                sd_bus_message *m = attach(bus);

                assert(sd_bus_send(bus, m, NULL) >= 0);
                sd_bus_message_unref(m);
        }

        is_too_much(bus, arg);
}

static void test_limits(void) {
        /* Debian's fixed users: the bus looks a caller's groups up */
        static const uid_t users[] = { 1, 2, 3, 5, 6, 7, 8, 9 };
        int full = 16;
        pid_t pids[8];
        Fixture f;

        fixture_init(&f, 0);
        mock_manager_add(f.manager, "bftrack", UUID_A);
        f.polkit = MOCK_POLKIT_HOLD;

        /* 16 of one user, also of many connections */
        pids[0] = fixture_spawn(&f, users[0], sends_many, &full);
        UNTIL(&f, f.n_questions == 16);
        fixture_client(&f, users[0], is_too_much, NULL);

        /* others have their own, until there is no room for anybody but root */
        for (unsigned i = 1; i < 7; i++) {
                pids[i] = fixture_spawn(&f, users[i], sends_many, &full);
                UNTIL(&f, f.n_questions == 16 * (i + 1));
        }
        assert(f.bus->n_calls == 112);
        fixture_client(&f, users[7], is_too_much, NULL);
        fixture_client(&f, 0, is_served, NULL);
        assert(f.manager->n_attach == 1);

        /* 128 of everybody, root included */
        f.manager->hold = true;
        pids[7] = fixture_spawn(&f, 0, sends_many, &full);
        UNTIL(&f, f.bus->n_calls == 128);
        fixture_client(&f, 0, is_too_much, NULL);

        /* who leaves makes room */
        fixture_kill(pids[3]);
        UNTIL(&f, f.bus->n_calls == 112);
        f.manager->hold = false;
        assert(f.n_questions == 112);
        for (unsigned i = 0; i < 8; i++)
                if (i != 3)
                        fixture_kill(pids[i]);
        fixture_deinit(&f);
}

/* Before the bus has said whose a connection is, it can have no more than 16. */
static void test_limit_of_connection(void) {
        pid_t pid;
        Fixture f;

        fixture_init(&f, 0);
        f.polkit = MOCK_POLKIT_HOLD;
        pid = fixture_spawn(&f, NOBODY, sends_one_too_many, NULL);
        fixture_join(&f, pid);
        UNTIL(&f, f.bus->n_calls == 0);
        assert(f.n_questions <= 16);
        fixture_deinit(&f);
}

int main(int argc, char *argv[]) {
        static const char *const names[] = {
                "root", "polkit-absent", "polkit-not-asked", "yes", "challenge", "polkit-errs", "caller-leaves",
                "caller-leaves-acting", "stale", "stale-attachment", "ctl-actions", "limits", "limit-of-connection",
                "attach-options", "forget",
        };
        static void (*const cases[])(void) = {
                test_root, test_polkit_absent, test_polkit_not_asked, test_yes, test_challenge, test_polkit_errs,
                test_caller_leaves, test_caller_leaves_acting, test_stale, test_stale_attachment, test_ctl_actions,
                test_limits, test_limit_of_connection, test_attach_options, test_forget,
        };

        _Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(cases) / sizeof(cases[0]), "a name for each case");
        return fixture_main(argc, argv, names, cases, sizeof(cases) / sizeof(cases[0]));
}
