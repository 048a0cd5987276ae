"""A queue that costs next to nothing, to see what a client can do: ReceiveMessage, DeleteMessageBatch, DeleteMessage,
ChangeMessageVisibilityBatch and GetQueueAttributes in SQS' JSON protocol, from memory. Nothing expires, nothing fails.

    sqs_fake.py FILE      one message for each line; prints the queue's URL
"""

import asyncio
import json
import sys

ATTRIBUTES = json.dumps({"Attributes": {"VisibilityTimeout": "30", "ApproximateNumberOfMessages": "0"}}).encode()
EMPTY = b"{}"


class Fake:
    def __init__(self, path):
        self.receives = []
        with open(path) as lines:
            messages = [
                {"MessageId": f"00000000-0000-4000-8000-{number:012d}", "ReceiptHandle": str(number), "Body": line.rstrip("\n")}
                for number, line in enumerate(lines)
            ]
        for at in range(0, len(messages), 10):
            self.receives.append(json.dumps({"Messages": messages[at : at + 10]}).encode())
        self.receives.reverse()

    async def answer(self, action, body):
        if action == "ReceiveMessage":
            if self.receives:
                return self.receives.pop()
            await asyncio.sleep(json.loads(body).get("WaitTimeSeconds", 0))
            return EMPTY
        if action.endswith("Batch"):
            entries = json.loads(body)["Entries"]
            return json.dumps({"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}).encode()
        return ATTRIBUTES if action == "GetQueueAttributes" else EMPTY

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length, action = 0, ""
                for line in head.split("\r\n")[1:]:
                    name, _, value = line.partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                    elif name.lower() == "x-amz-target":
                        action = value.strip().rpartition(".")[2]
                body = await self.answer(action, await reader.readexactly(length))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main(path):
    server = await asyncio.start_server(Fake(path).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/000000000000/bench", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
