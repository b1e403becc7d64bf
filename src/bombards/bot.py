import math, socket, sys
host, port, name = sys.argv[1:]
chat = socket.create_connection((host, int(port)))
chat.sendall(f"/join bombards\n/nick {name}\njoin\n".encode())
cannons = {}
for line in chat.makefile(encoding="utf-8"):
    match line.split():
        case ["bombards>", "field", *_]:
            cannons.clear()
        case ["bombards>", "cannon", who, camp, x, y, *_]:
            cannons[who] = camp, int(x), int(y)
    if line.startswith((f"bombards> cannon {name} ", "bombards> cannons ")) and name in cannons:
        side, x, y = cannons[name]
        for foe_x, foe_y in [foe[1:] for foe in cannons.values() if foe[0] != side][:1]:
            across, up = abs(foe_x - x) - 15, y - foe_y - 26
            steps = 0.5 + math.sqrt(0.25 + 5 * max(1, 1.7321 * across - up))
            power = min(100, max(10, round(10 * across / steps)))
            chat.sendall(f"fire 60 {power}\n".encode())
