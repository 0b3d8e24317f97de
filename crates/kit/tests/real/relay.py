#!/usr/bin/env python3
# An agent behind a relay that loses the end of its stream: from the first line with WORD on nothing is passed on. When
# the agent has written its turn down, it and the relay are killed (MODE killed), or both live on (MODE silent).
import glob, os, re, signal, subprocess, sys, threading, time

PROGRAM, MODE, WORD = "@PROGRAM@", "@MODE@", b"@WORD@"
FILES = [".claude/projects", ".codex/sessions", ".pi/agent/sessions", ".qwen", ".copilot/session-state"]
END = re.compile(rb'"end_turn"|task_complete|"stopReason":"stop"|branch_checkpoint|assistant\.turn_end')
if "--version" in sys.argv:
    os.execv(PROGRAM, [PROGRAM, *sys.argv[1:]])
agent = subprocess.Popen([PROGRAM, *sys.argv[1:]], stdout=subprocess.PIPE)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: agent.send_signal(number))

def is_written():
    for folder in FILES:
        for path in glob.glob(f"{os.environ['HOME']}/{folder}/**/*.jsonl", recursive=True):
            text = open(path, "rb").read()
            word = text.rfind(WORD)
            if word >= 0 and END.search(text, text.rfind(b"\n", 0, word) + 1):
                return True
    return False

for line in agent.stdout:
    if WORD in line:
        break
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
threading.Thread(target=agent.stdout.read, daemon=True).start()
if MODE == "killed":
    while not is_written():
        time.sleep(0.02)
    agent.kill()
    agent.wait()
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(agent.wait())
