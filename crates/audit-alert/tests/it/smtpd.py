"""A strict mail server on a free port: prints the port, then every message as a line of JSON.

Usage: smtpd.py starttls|implicit|plain CERTIFICATE KEY
"""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Mailboxes:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy@"):
            return "451 4.3.0 try again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        message = {
            "secure": server.transport.get_extra_info("ssl_object") is not None,
            "login": bool(session.authenticated),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.content.decode("ascii"),
        }
        print("message " + json.dumps(message), flush=True)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"audit", b"p4ss")
    return AuthResult(success=right, handled=False)


async def main(mode, certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    settings = {"hostname": "localhost", "ident": "strict"}
    if mode != "plain":
        settings |= {"authenticator": authenticate, "auth_required": True}
    if mode == "starttls":
        settings |= {"tls_context": context, "require_starttls": True}
    if mode == "implicit":
        settings |= {"auth_require_tls": False}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Mailboxes(), **settings),
        "127.0.0.1",
        0,
        ssl=context if mode == "implicit" else None,
    )
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:4]))
