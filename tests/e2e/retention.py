#!/usr/bin/python3
# label: postgres
# timeout: 120
"""store.keep in a daemon that runs: what is old goes, as the configuration says, and a reload takes another time over."""

import os

from parley_test import ON_POSTGRES, Daemon, expect, expect_true, run, store_sql, test, wait_until

EPOCH_MS = 1735689600000
OLD_MS = EPOCH_MS + 86400000  # the second of January 2025
OLD = (OLD_MS - EPOCH_MS) << 22
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def msg(number):
    return "msg_" + "".join(CROCKFORD[number >> 5 * (12 - i) & 31] for i in range(13))


def put_old(path):
    """A message that came in long ago, as the provider sent it and as it is stored."""
    store_sql(path, f"INSERT INTO message VALUES({OLD},1,1,0,0,0,0,{OLD_MS},{OLD_MS},0,0,0,2,0,0,3,'','','','box','sms','p1','','','',"
              "'{\"content\":{\"text\":\"long ago\"}}')")
    store_sql(path, f"INSERT INTO raw VALUES({OLD}, 'as it came')")
    store_sql(path, "UPDATE counter SET inbound=inbound+1")


@test
def a_reload_takes_a_changed_time_over_and_refuses_one_that_is_too_short(folder):
    path = os.path.join(folder, "parley.db")

    def forever(config):
        config["store"]["keep"] = {"bodies": "forever", "raw": "forever"}

    with Daemon(folder, config=forever) as daemon:
        daemon.stop()
        put_old(path)
        daemon.start()
        daemon.wait_status(daemon.send("one"), "sent")  # rounds, in which it could have gone
        expect(daemon.get(f"/v1/messages/{msg(OLD)}").json["content"], {"text": "long ago"})
        expect(daemon.metric('parley_store_oldest_timestamp_seconds{kind="raw"}'), OLD_MS / 1000)

        daemon.config["store"]["keep"] = {"bodies": "365d", "raw": "1h"}
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: "event=reload_refused" in daemon.log(), "the refusal")
        expect_true("store.keep.raw: '1h' is out of range: 1d to 36500d, or forever" in daemon.log(), daemon.log())

        daemon.config["store"]["keep"] = {"bodies": "365d", "raw": "30d"}
        daemon.write_config()
        daemon.signal(1)
        wait_until(lambda: daemon.get(f"/v1/messages/{msg(OLD)}").json.get("body_expired"), "the body goes")
        wait_until(lambda: store_sql(path, "SELECT count(*) FROM raw") == [["0"]], "its envelope goes")
        shown = daemon.get(f"/v1/messages/{msg(OLD)}").json
        expect((shown["content"], shown["direction"], shown["provider_id"]), (None, "in", "p1"))
        for kind, gone in (("bodies", 1), ("raw", 1), ("events", 0), ("attempts", 0)):
            expect((kind, daemon.metric(f'parley_store_expired_total{{kind="{kind}"}}')), (kind, gone))


@test
def the_room_of_each_table_and_its_rows_stand_in_the_metrics(folder):
    with Daemon(folder) as daemon:
        for i in range(5):
            daemon.wait_status(daemon.send("hello", to={"email": f"a{i}@example.org"}), "sent")
        daemon.stop()
        if ON_POSTGRES:
            store_sql(os.path.join(folder, "parley.db"), "ANALYZE")
        daemon.start()
        expect(daemon.metric('parley_store_table_rows{table="message"}'), 5)
        expect(daemon.metric('parley_store_table_rows{table="delivery"}'), 5)
        expect_true(daemon.metric('parley_store_table_bytes{table="message"}') >= 4096, "its pages")
        expect_true(daemon.metric('parley_store_table_bytes{table="timeline"}') >= 4096, "a table of two parts is one")


if __name__ == "__main__":
    run()
