/* The table of commands.  */
#include "cli/cli.h"
#include "cli/filter.h"

const struct cli_command cli_commands[] = {
	{
		.name = "serve",
		.arguments = "[--check] [HOST[:PORT]]...",
		.summary = "Run the server in the foreground, until SIGTERM or SIGINT.",
		.help = "HOST is a name or address to listen on, * is any, PORT is 25 unless given; with none, the\n"
			"`listen` blocks of the configuration. SIGHUP reads configuration and certificates again.\n\n"
			"      --check         read the configuration, say what is wrong with it, and leave\n",
		.run = cli_serve,
	},
	{
		.name = "send",
		.arguments = "[OPTIONS] RECIPIENT...",
		.summary =
			"Send a message, to a server or straight to the recipients' mail exchangers.",
		.help = "What each recipient got is a line on standard output; 0 when all have it, 75 when some may be\n"
			"tried again, 69 when some were refused.\n\n"
			"  -s, --server HOST[:PORT]   the server; without it, the exchangers of each recipient's domain\n"
			"  -f, --from ADDRESS         sender; '' is the null reverse-path\n"
			"  -t, --to ADDRESS           one more recipient\n"
			"      --subject TEXT\n"
			"      --body TEXT            or --body-file FILE, - is standard input\n"
			"      --header 'NAME: VALUE' again and again\n"
			"      --attach FILE          again and again\n"
			"      --message FILE         a whole message as it is, - is standard input\n"
			"      --helo NAME            what to call ourselves\n"
			"      --tls off|opportunistic|starttls|implicit\n"
			"      --tls-verify           the certificate has to be the server's\n"
			"      --user NAME            log in; --password-file FILE, --auth MECHANISM\n"
			"      --repeat N             send so many, over --connections N at once\n"
			"      --until ehlo|mail|rcpt|data   stop after the reply to that\n"
			"      --trace                the conversation on standard error: < server, > we\n",
		.run = cli_send,
		.options = cli_send_options,
		.option_count = &cli_send_option_count,
	},
	{
		.name = "queue",
		.arguments = "list|show|retry|hold|release|delete|stats [OPTIONS] [ID...]",
		.summary = "Look at the running server's queue, and act on it.",
		.help = "      --sender ADDRESS       messages of this sender\n"
			"      --recipient ADDRESS    recipients of this address\n"
			"      --domain NAME          recipients in this domain\n"
			"      --all                  everything\n"
			"      --json                 for programs\n"
			"      --message              show: the message itself\n",
		.run = cli_queue,
		.options = filter_options,
		.option_count = &filter_option_count,
	},
	{
		.name = "trace",
		.arguments = "[--json] ID|MESSAGE-ID|ADDRESS|@DOMAIN",
		.summary = "Where is my mail? All that is known of a message, attempt by attempt.",
		.help = "",
		.run = cli_trace,
	},
	{
		.name = "route",
		.arguments = "[--json] [--probe] ADDRESS|DOMAIN",
		.summary = "How mail to an address would go; sends nothing.",
		.help = "      --probe                also connect to each host, say EHLO, and leave\n",
		.run = cli_route,
	},
	{
		.name = "user",
		.arguments = "add|list|remove|passwd|release [NAME]",
		.summary = "Accounts for submission; NAME is a full address.",
		.help = "      --password-file FILE   else the password is asked for, or read from standard input\n"
			"      --json                 of list\n",
		.run = cli_user,
		.options = cli_user_options,
		.option_count = &cli_user_option_count,
	},
	{
		.name = "sink",
		.arguments = "[OPTIONS] [HOST[:PORT]]",
		.summary = "A server that accepts, counts and forgets, for tests.",
		.help = "It listens on 127.0.0.1:2525 unless told otherwise. CMD is banner, mail, rcpt, data or end.\n\n"
			"      --reply 'CMD=CODE [WORDS]'  what it answers: --reply 'rcpt=450 4.2.1 later'\n"
			"      --delay CMD=TIME       wait so long before the answer\n"
			"      --fail N%              refuse so many messages at their end, 451\n"
			"      --dump DIR             keep them: DIR/N.eml, DIR/N.envelope\n"
			"      --count N              leave after N messages\n",
		.run = cli_sink,
		.options = cli_sink_options,
		.option_count = &cli_sink_option_count,
	},
	{
		.name = "bench",
		.arguments = "[OPTIONS] HOST[:PORT]",
		.summary = "Load a server with mail, and measure it.",
		.help = "      --messages N           1000\n"
			"      --connections N        at once, each kept open: 10\n"
			"      --per-connection N     open a new one after so many\n"
			"      --size SIZE            of a message: 4k\n"
			"      --recipients N         of each message: 1\n"
			"      --rate N/s             not as fast as answers come, but so many; latency then counts from\n"
			"                             when a message was due\n"
			"      --from ADDRESS, --to ADDRESS (again and again: in turn), --helo NAME, --json\n",
		.run = cli_bench,
		.options = cli_bench_options,
		.option_count = &cli_bench_option_count,
	},
	{
		.name = "sendmail",
		.arguments = "[-t] [-i] [-f ADDRESS] [-F NAME] [-bs|-bp] [-C FILE] [RECIPIENT...]",
		.summary = "Take a message from standard input as the classic command does.",
		.help = "  -t          recipients are those of To, Cc and Bcc\n"
			"  -i, -oi     a line with a dot alone does not end the message\n"
			"  -f ADDRESS  the sender\n"
			"  -F NAME     the sender's name, for From\n"
			"  -bs         speak SMTP on standard input and output\n"
			"  -bp         list the queue, as mailq does\n",
		.run = cli_sendmail,
	},
	{
		.name = "mailq",
		.arguments = "",
		.summary = "List the queue as the classic command does.",
		.help = "",
		.run = cli_mailq,
	},
	{
		.name = "newaliases",
		.arguments = "",
		.summary = "Does nothing: aliases stand in the configuration.",
		.help = "",
		.run = cli_newaliases,
	},
	{0},
};
