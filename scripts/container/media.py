"""What the files of GStreamer that were chosen for the container can do: clips of every kind, also by HTTP and RTSP."""

import http.server
import shutil
import subprocess
import threading
from functools import partial

from server import expect

PICTURES = "-f lavfi -i testsrc=size=320x240:rate=10:duration=2,format=yuv420p"
SOUND = "-f lavfi -i sine=duration=2"
CLIPS = {
    "h264.mp4": "-c:v libx264 -bf 2",
    "h264.ts": "-c:v libx264",
    "h264.flv": "-c:v libx264",
    "h265.mkv": "-c:v libx265 -x265-params log-level=error",
    "mpeg4.avi": "-c:v mpeg4",
    "vp8.webm": "-c:v libvpx",
    "vp9.webm": "-c:v libvpx-vp9",
    "av1.mkv": "-c:v libaom-av1 -cpu-used 8",
    "mjpeg.mov": "-c:v mjpeg",
    "list.m3u8": "-c:v libx264 -f hls -hls_list_size 0",
}


def check(container, project):
    """All of them, through `vigia detect` in the container."""
    if not shutil.which("ffmpeg"):
        container.say("videos: skipped, ffmpeg is not installed")
        return
    folder = container.work / "clips"
    folder.mkdir(exist_ok=True)
    for name, options in CLIPS.items():
        command = f"ffmpeg -v error -y {PICTURES} {SOUND} {options} -shortest {folder / name}".split()
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            container.say(f"  {name}: skipped, ffmpeg does not make it")
            (folder / name).unlink(missing_ok=True)
    clips = [("bind", folder, "mnt", "ro")]

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{web.server_port}"
    inputs = [f"/mnt/{name}" for name in CLIPS if (folder / name).exists() and name != "list.m3u8"]
    inputs += [f"{site}/h264.mp4", f"{site}/list.m3u8"]
    camera, addresses = cameras(project)
    try:
        for source in inputs:
            looks(container, [source], clips, 15)
        for address, transport in addresses:
            looks(container, [address, "--rtsp-transport", transport], clips, 5, stop=True)
        if not addresses:
            container.say(
                "  rtsp: skipped, GStreamer's RTSP server is not installed (scripts/setup.sh, VIGIA_SETUP_TESTS=1)"
            )
    finally:
        web.shutdown()
        if camera:
            camera.stdin.close()
            camera.wait(timeout=10)
    saved = container.run(
        ["/bin/sh", "-c", "vigia detect /mnt/h264.mp4 --save /var/lib/vigia/s && ls /var/lib/vigia/s"], clips
    )
    expect(saved.returncode == 0 and ".mp4" in saved.stdout, f"--save: {saved.stderr}")
    container.say(f"  --save writes {saved.stdout.split()[-1]}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def cameras(project):
    """The tests' RTSP cameras, where they can run."""
    script = project / "vigia-media/tests/rtsp_server.py"
    camera = subprocess.Popen(
        ["/usr/bin/python3", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    ports = camera.stdout.readline().split()
    if len(ports) != 2:
        camera.wait()
        return None, []
    address = f"rtsp://127.0.0.1:{ports[0]}/camera"
    return camera, [(address, "tcp"), (address, "udp")]


def looks(container, arguments, mounts, frames, stop=False):
    """`vigia detect` sees at least so many frames; a camera has no end."""
    argv = container.argv(["vigia", "detect", *arguments], mounts)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(60, process.kill)
    timer.start()
    seen = 0
    for line in process.stdout:
        seen += '"detections"' in line
        if stop and seen == frames:
            process.kill()
    error = process.stderr.read()
    process.wait()
    timer.cancel()
    expect(seen >= frames and (stop or process.returncode == 0), f"{arguments}: {seen} frames; {error}")
    container.say(f"  {' '.join(arguments)}: {seen} frames")
