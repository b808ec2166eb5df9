/* set_build.h - makes the channels of a configuration beside those that run: plugins and the country's numbering plan are loaded in
 * the pool, then all channels are made, then all are started; each step ends when the last has ended, those in processes of their own
 * included. Whatever fails, the running set is untouched. One at a time. Thread: loop. */
#ifndef CORE_DAEMON_SET_BUILD_H
#define CORE_DAEMON_SET_BUILD_H
#include "daemon.h"

enum set_phase { SET_LOADING = 1, SET_MAKING, SET_STARTING };

struct set_choice { /* what is made anew; the rest is taken over from the running set. Both empty: all */
  parley_text plugin, channel;
};
struct set_built {
  parley_status status;
  enum set_phase phase; /* where it failed */
  parley_text why;      /* until the call returns */
  struct conf *conf;    /* a reference, the callee's to keep or drop: NULL when it could not even be read */
  struct phone_plan phones; /* of conf, on success */
  struct channel_set set; /* the callee's, on success; its kept pairs still stand in the running set, too: see channel_set_use */
};
typedef void set_built_fn(const struct set_built *built, void *arg);

/* path: the configuration is read from there first; NULL: conf is used, borrowed. choice's texts are copied. done(arg) once, never
 * within this call. BUSY: another one is under way. */
parley_status set_build(struct daemon *daemon, const char *path, struct conf *conf, const struct set_choice *choice, set_built_fn *done,
                        void *arg);
void set_build_progress(struct daemon *daemon); /* a channel has got on */
void set_build_cancel(struct daemon *daemon);   /* done() comes with CANCELLED */
#endif
