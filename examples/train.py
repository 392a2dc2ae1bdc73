"""A trainer of one's own: reads its job from stdin, prints messages. Gradient descent with momentum on a parabola."""
import json
import sys

job = json.loads(sys.stdin.readline())
rate, momentum = job["params"]["learning_rate"], job["params"]["momentum"]
x, velocity = 1.0, 0.0
for epoch in range(1, 21):
    velocity = momentum * velocity - rate * 2 * x
    x += velocity
    print(json.dumps({"type": "metric", "epoch": epoch, "values": {"loss": x * x}}))
print(json.dumps({"type": "done"}))
