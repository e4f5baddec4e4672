"""DNS as it is: signed, forged, slow, silent, in a circle; and what becomes of the mail."""
import re
import socket
import subprocess
import time

from aiosmtpd.controller import Controller

from harness import free_port, need, queued_id, wait_for
from peers import Blackhole, dns
from real_peers import DnsMeddler

LOCAL = 'domain "example.com" { users = "*" }\n'
FAST = 'queue { retry = ["1s"] }\n'


def by_dns(dns_port, smtp_port, validate="off", more=""):
    return (f'dns {{ servers = ["127.0.0.1:{dns_port}"], {validate if "=" in validate else "validate = " + validate} }}\n'
            f'route "*" {{ to = mx, port = {smtp_port}, allow_loopback = true {more} }}\n')


def reason(server, timeout=20):
    """Why the one message waits, once an attempt has shown it."""
    def why():
        (entry,), = [m["recipients"] for m in server.queue()]
        return entry["reason"] if entry["reason"] != "waits for its turn" else None
    return wait_for(why, timeout, "it waits, and knows why")


def returned(server, user):
    return server.mailbox(user, "example.com").wait(1)[0].decode(errors="replace")


# ---- DNSSEC ---------------------------------------------------------------------------------------

SIGNED = {"signed.test": "@ MX 10 mx\nmx A 127.0.1.1\n", "other.test": "@ MX 10 mx\nmx A 127.0.1.1\n"}


def trust_anchor(directory, zone):
    """The DS record of a zone that Knot signs."""
    result = subprocess.run([need("keymgr"), "-c", str(directory / "knot.conf"), zone, "ds"], capture_output=True, check=True,
                            text=True)
    line = next(l for l in result.stdout.splitlines() if re.search(r" DS \d+ \d+ 2 ", l))
    file = directory / f"{zone}.anchor"
    file.write_text(line.replace(" DS ", " IN DS ") + "\n")
    return file


def test_signed_zone(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")
    with dns(tmp_path / "dns", SIGNED, signed=True) as port:
        anchor = trust_anchor(tmp_path / "dns", "signed.test")
        server = make_server(by_dns(port, hop.port, f'trust_anchor = "{anchor}"'))
        with server.talk() as t:
            t.mail(["x@signed.test"])
            t.mail(["x@other.test"])  # signed, but nothing vouches for it: as if it were not
        hop.wait(2)
        assert '"secure": true' in server.run("route", "x@signed.test", "--json", check=True).stdout.decode()
        assert '"secure": true' not in server.run("route", "x@other.test", "--json", check=True).stdout.decode()


def test_zone_signed_with_another_key(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")
    with dns(tmp_path / "dns", SIGNED, signed=True) as port:
        anchor = trust_anchor(tmp_path / "dns", "other.test")
        anchor.write_text(anchor.read_text() + anchor.read_text().replace("other.test", "signed.test"))
        server = make_server(LOCAL + FAST + by_dns(port, hop.port, f'trust_anchor = "{anchor}"'))
        with server.talk() as t:
            t.mail("x@signed.test", sender="s@example.com")
        why = reason(server)
        assert "signed.test" in why and re.search("DNSSEC|validation|trust anchor|signature", why), why
        server.wait_log("unreachable", "status=4.4.3")
        assert not hop.messages and not hop.connections
        assert server.queue(), "deferred, not returned"


def test_forged_address(make_server, hops, tmp_path):
    """Somebody on the way puts his own address into an answer."""
    good = hops(host="127.0.1.1")
    forger = hops(host="127.0.1.9", port=good.port)
    with dns(tmp_path / "dns", SIGNED, signed=True) as port:
        meddler = DnsMeddler(port, lambda answer: answer.replace(socket.inet_aton("127.0.1.1"), socket.inet_aton("127.0.1.9")))
        try:
            anchor = trust_anchor(tmp_path / "dns", "signed.test")
            server = make_server(FAST + by_dns(meddler.port, good.port, f'trust_anchor = "{anchor}"'))
            with server.talk() as t:
                t.mail("x@signed.test")
            why = reason(server)
            assert "mx.signed.test" in why, why
            server.wait_log("unreachable", "status=4.4.3")
            assert not forger.connections
            unwary = make_server(FAST + by_dns(meddler.port, good.port), name="unwary")
            with unwary.talk() as t:
                t.mail("x@signed.test")
            forger.wait(1)  # the forgery works on who does not validate
        finally:
            meddler.close()


# ---- slow and silent ------------------------------------------------------------------------------

def test_slow_answers(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")

    def slow(answer):
        time.sleep(0.7)
        return answer
    with dns(tmp_path / "dns", {"slow.test": "@ MX 10 mx\nmx A 127.0.1.1\n", "quick.test": "@ A 127.0.1.1\n"}) as port:
        meddler = DnsMeddler(port, slow)
        try:
            server = make_server(by_dns(meddler.port, hop.port))
            with server.talk() as t:
                t.mail("x@slow.test")
                hop.wait(1, timeout=15)
            assert "unreachable" not in server.log(), "at the first attempt"
        finally:
            meddler.close()


def test_lost_answers_are_asked_for_again(make_server, hops, tmp_path):
    """A third of all answers is lost: that is DNS's own business."""
    hop = hops(host="127.0.1.1")
    seen = []

    def lossy(answer):
        seen.append(answer)
        return None if len(seen) % 3 == 1 else answer
    zones = {f"d{i}.test": "@ MX 10 mx\nmx A 127.0.1.1\n" for i in range(10)}
    with dns(tmp_path / "dns", zones) as port:
        meddler = DnsMeddler(port, lossy)
        try:
            server = make_server(FAST + by_dns(meddler.port, hop.port))
            with server.talk() as t:
                for zone in zones:
                    t.mail(f"x@{zone}")
            hop.wait(len(zones), timeout=30)
        finally:
            meddler.close()


def test_no_answer_at_all_then_dns_is_well(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")
    well = [False]
    with dns(tmp_path / "dns", {"one.test": "@ MX 10 mx\nmx A 127.0.1.1\n"}) as port:
        meddler = DnsMeddler(port, lambda answer: answer if well[0] else None)
        try:
            server = make_server(LOCAL + FAST + by_dns(meddler.port, hop.port))
            with server.talk() as t:
                t.mail("x@one.test", sender="s@example.com")
            why = reason(server, timeout=30)
            assert "Name service error for one.test" in why, why
            assert meddler.questions > 0
            well[0] = True
            server.run("queue", "retry", "--all", check=True)
            hop.wait(1, timeout=40)
            wait_for(lambda: server.queue() == [], 5)
            assert not server.mailbox("s", "example.com").files()
        finally:
            meddler.close()


# ---- what zones say -------------------------------------------------------------------------------

def test_preferences_and_dead_hosts(make_server, hops, tmp_path):
    """Hosts without an address, that refuse, hang, greet with 554 or 421: the next is tried, in order."""
    port = free_port()
    hole = Blackhole(host="127.0.1.12", port=port)
    try:
        rude, busy = (hops(host=h, port=port, banner=b) for h, b in (("127.0.1.13", "554 go away"), ("127.0.1.14", "421 busy")))
        last = hops(host="127.0.1.15", port=port)
        never = hops(host="127.0.1.16", port=port)
        zone = ("@ MX 5 missing\n@ MX 10 refuses\n@ MX 20 hangs\n@ MX 30 rude\n@ MX 40 busy\n@ MX 50 last\n@ MX 60 never\n"
                "refuses A 127.0.1.11\nhangs A 127.0.1.12\nrude A 127.0.1.13\nbusy A 127.0.1.14\n"
                "last A 127.0.1.15\nnever A 127.0.1.16\n")
        with dns(tmp_path / "dns", {"many.test": zone}) as dns_port:
            server = make_server(by_dns(dns_port, port))
            with server.talk() as t:
                t.mail("x@many.test")
            last.wait(1)
            assert rude.connections == busy.connections == 1 and not never.connections
            lines = server.run("route", "x@many.test", check=True).stdout.decode()
            at = [lines.index(f"127.0.1.{n}") for n in (11, 12, 13, 14, 15, 16)]
            assert at == sorted(at), lines
    finally:
        hole.close()


def test_ipv6_first_and_ipv4_beside_it(make_server, hops, tmp_path):
    port = free_port()
    four = hops(host="127.0.1.1", port=port)
    with dns(tmp_path / "dns", {"both.test": "@ MX 10 mx\nmx A 127.0.1.1\nmx AAAA ::1\n"}) as dns_port:
        server = make_server(by_dns(dns_port, port))
        with server.talk() as t:
            t.mail("x@both.test")
        four.wait(1)  # nobody listens on ::1


def test_aliases(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")
    zones = {
        "real.test": "@ MX 10 mx\nmx A 127.0.1.1\n", "null.test": "@ MX 0 .\n",
        "alias.test": ("chain CNAME middle\nmiddle CNAME real.test.\ncircle CNAME circle2\ncircle2 CNAME circle\n"
                       "nothing CNAME null.test.\nmx-alias MX 10 pointer\npointer CNAME mx.real.test.\n"
                       "gone CNAME no.real.test.\n"),
    }
    with dns(tmp_path / "dns", zones) as port:
        server = make_server(LOCAL + FAST + by_dns(port, hop.port))
        with server.talk() as t:
            t.mail("x@chain.alias.test")
            t.mail("x@mx-alias.alias.test")
            t.mail("x@nothing.alias.test", sender="n@example.com")
            t.mail("x@gone.alias.test", sender="g@example.com")
            t.mail("x@circle.alias.test", sender="c@example.com")
        hop.wait(2)
        assert {r[0] for _, r, _ in hop.messages} == {"x@chain.alias.test", "x@mx-alias.alias.test"}, "as they were written"
        assert "5.1.10" in returned(server, "n")
        assert "5.1.2" in returned(server, "g")
        assert "Name service error for circle.alias.test" in reason(server)
        assert not server.mailbox("c", "example.com").files()


def test_exchangers_that_are_us(make_server, tmp_path):
    """Mail that would come back here is returned, not passed round."""
    zones = {"loop.test": "@ MX 10 mx\nmx A 127.0.0.1\n", "named.test": "@ MX 10 mail.example.com.\n",
             "behind.test": "@ MX 10 mail.example.com.\n@ MX 20 other\nother A 127.0.1.1\n"}
    with dns(tmp_path / "dns", zones) as port:
        server = make_server(LOCAL + f'dns {{ servers = ["127.0.0.1:{port}"], validate = off }}\n')
        for zone in zones:
            with server.talk() as t:
                t.mail(f"x@{zone}", sender=f"{zone}@example.com")
            bounce = returned(server, zone)
            assert "5.4.6" in bounce and "loops back" in bounce, zone
        assert "connect-failed" not in server.log()


def test_international_domain(make_server, hops, tmp_path):
    class Keeper:
        envelopes = []

        async def handle_DATA(self, server, session, envelope):
            self.envelopes.append(envelope)
            return "250 2.0.0 kept"
    port = free_port()
    controller = Controller(Keeper(), hostname="127.0.1.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    try:
        with dns(tmp_path / "dns", {"xn--bcher-kva.test": "@ MX 10 mx\nmx A 127.0.1.1\n"}) as dns_port:
            server = make_server(by_dns(dns_port, port))
            with server.talk() as t:
                t.ask("EHLO client.test")
                t.ask("MAIL FROM:<a@example.org> SMTPUTF8")
                assert t.ask("RCPT TO:<Jürgen@BÜCHER.test>").startswith("250")
                t.ask("DATA")
                t.send("Subject: x\r\n\r\nx\r\n.\r\n")
                queued_id(t.reply())
                t.mail("plain@xn--bcher-kva.test")
            wait_for(lambda: len(Keeper.envelopes) == 2, 10, "both arrived")
            assert "Jürgen" in Keeper.envelopes[0].rcpt_tos[0] or "Jürgen" in Keeper.envelopes[1].rcpt_tos[0]
            shown = server.run("route", "x@bücher.test", check=True).stdout.decode()
            assert "xn--bcher-kva.test" in shown and "127.0.1.1" in shown
    finally:
        controller.stop()


def test_names_in_the_configuration_may_be_written_in_either_form(make_server):
    """A local domain and a route with letters beyond ASCII, and mail that names them the other way."""
    server = make_server('domain "bücher.test" { users = ["ann"] }\nroute "straße.test" { to = "reject:not there" }\n'
                         'route ".öl.test" { to = "reject:nor there" }\n')
    with server.talk() as t:
        t.expect("EHLO me.test", "250")
        t.mail("ann@xn--bcher-kva.test")
        assert t.ask("MAIL FROM:<x@example.org> SMTPUTF8").startswith("250")
        assert t.ask("RCPT TO:<ann@BÜCHER.test>").startswith("250")
        assert t.ask("RCPT TO:<nobody@bücher.test>").startswith("550 5.1.1")
        assert t.ask("DATA").startswith("354")
        assert t.ask("Subject: x\r\n\r\nx\r\n.").startswith("250")
    server.mailbox("ann", "xn--bcher-kva.test").wait(2)
    for name in ("straße.test", "xn--strae-oqa.test", "a.öl.test", "a.xn--l-xfa.test"):
        assert "there" in server.run("route", f"x@{name}").stdout.decode(), name


def test_address_literals(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.7")
    with dns(tmp_path / "dns", {"x.test": "@ A 127.0.1.1\n"}) as port:
        server = make_server(LOCAL + by_dns(port, hop.port))
        with server.talk() as t:
            t.mail("x@[127.0.1.7]")
        hop.wait(1)
        assert hop.messages[0][1] == ["x@[127.0.1.7]"]
        careful = make_server(LOCAL, name="careful")  # without allow_loopback
        with careful.talk() as t:
            t.mail("x@[127.0.1.7]", sender="s@example.com")
        assert "5.4.6" in returned(careful, "s")


def test_one_silent_domain_costs_the_others_nothing(make_server, hops, tmp_path):
    hop = hops(host="127.0.1.1")
    with dns(tmp_path / "dns", {"mute.test": "@ MX 10 mx\n", "well.test": "@ MX 10 mx\nmx A 127.0.1.1\n"}) as port:
        meddler = DnsMeddler(port, lambda answer: None if b"\x04mute\x04test" in answer else answer)
        try:
            server = make_server(FAST + by_dns(meddler.port, hop.port))
            with server.talk() as t:
                for i in range(100):
                    t.mail(f"x{i}@mute.test")
                began = time.monotonic()
                t.mail("x@well.test")
                hop.wait(1)
                assert time.monotonic() - began < 3
        finally:
            meddler.close()
