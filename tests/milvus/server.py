"""Serves Milvus's gRPC interface from a folder, on a free port of the loopback interface.

Prints the port once it takes calls, and ends when its standard input does, so that it never outlives a test.
"""

import sys

from milvus_lite.adapter.grpc.server import start_server_in_thread

server, database, port = start_server_in_thread(sys.argv[1], host="127.0.0.1", port=0)
print(port, flush=True)
sys.stdin.read()
server.stop(grace=None)
database.close()
