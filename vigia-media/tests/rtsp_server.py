"""Two cameras for tests: rtsp://127.0.0.1:PORT/camera, and the same on another port for user "user" with password "secret word".

Prints both ports on one line when it listens; ends when its standard input does.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)

PICTURES = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=20/1 ! "
    "jpegenc ! rtpjpegpay name=pay0 audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 )"
)


def camera(locked):
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PICTURES)
    factory.set_shared(True)
    if locked:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth = GstRtspServer.RTSPAuth()
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("user", "secret word"), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        role = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        permissions.add_role_from_structure(Gst.Structure.new_from_string(role))
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    return server


cameras = [camera(False), camera(True)]
print(*(server.get_bound_port() for server in cameras), flush=True)

loop = GLib.MainLoop()
stdin = GLib.IOChannel.unix_new(sys.stdin.fileno())
GLib.io_add_watch(stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
loop.run()
