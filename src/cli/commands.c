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
		.summary = "Send a message, to a server or straight to the recipients' mail exchangers.",
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
