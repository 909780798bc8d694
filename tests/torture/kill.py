"""scripts/torture kill: a real broker on a real file system, ended at random moments under load, again and again.

The loads live in processes of their own: one that outlives every broker and retries until all is acked, one that gives up soon (so
that fates stay unknown), and one that is killed itself. At the end the judge has the last word (tests/history).
"""
import signal
import time

from campaign import CYCLED, KEPT, Failed, Load, log_uniform

WAYS = ["kill"] * 13 + ["pause"] * 2 + ["pause, kill"] * 2 + ["stop"] * 2 + ["stop, kill"]
KILLS_PER_DOOMED_LOAD = 6


class Kill:
    def __init__(self, campaign, kills):
        self.campaign, self.kills, self.random = campaign, kills, campaign.random
        self.broker = None
        self.doomed = None
        self.ways = {}

    def play(self):
        campaign = self.campaign
        campaign.use_broker(campaign.folder / "data")
        self.broker = campaign.broker
        self.broker.start()
        for topic in (KEPT, CYCLED):
            campaign.create_topic(*topic)
        steady = Load(campaign, "steady", "--senders", 2, "--readers", "--rate", campaign.options.rate, *campaign.topic_flags())
        hasty = Load(campaign, "hasty", "--timeout-ms", 250, "--rate", 3000, *campaign.topic_flags())
        for number in range(self.kills):
            if number % KILLS_PER_DOOMED_LOAD == 0:
                self.renew_doomed()
            if number > 0:
                self.broker.spawn()
            self.end_broker(number)
            for load in (steady, hasty):
                load.check()
        self.broker.start()
        self.doomed.kill()
        for load in (steady, hasty):
            load.ask_to_stop()
        for load in (steady, hasty):
            load.wait_stopped()
        campaign.read_final()
        self.broker.stop()
        campaign.finish(campaign.judge(), kills=self.kills, ways=self.ways)

    def renew_doomed(self):
        if self.doomed:
            self.doomed.kill()
        self.doomed = Load(self.campaign, "doomed", "--timeout-ms", 5000, "--rate", self.campaign.options.rate, *self.campaign.topic_flags())

    def end_broker(self, number):
        # Some are ended while they start; the first must live until the topics are there.
        if number > 0 and self.random.random() < 0.2:
            self.live_until(time.monotonic() + log_uniform(self.random, 0.001, 0.2))
        else:
            if not self.broker.wait_ready(60):
                raise Failed(f"millraced was not ready after 60 s; see {self.broker.diagnostics}")
            self.live_until(time.monotonic() + log_uniform(self.random, 0.001, 2))
        way = self.random.choice(WAYS) if self.broker.ready else "kill"
        self.ways[way] = self.ways.get(way, 0) + 1
        if "pause" in way:
            self.broker.child.send_signal(signal.SIGSTOP)
            time.sleep(log_uniform(self.random, 0.001, 0.5))
            if way == "pause":
                self.broker.child.send_signal(signal.SIGCONT)
                time.sleep(log_uniform(self.random, 0.001, 0.2))
        if way == "stop":
            self.broker.stop()
        elif way == "stop, kill":
            self.broker.child.terminate()
            time.sleep(log_uniform(self.random, 0.0001, 0.05))
            self.broker.child.kill()
            self.broker.wait_end()
        else:
            self.broker.kill()

    def live_until(self, end):
        # Seeing that it is ready takes no time from it.
        self.broker.wait_ready(max(0.0, end - time.monotonic()))
        time.sleep(max(0.0, end - time.monotonic()))


def play(campaign):
    Kill(campaign, campaign.options.kills).play()
