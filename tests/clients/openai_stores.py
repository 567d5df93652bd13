"""The unmodified openai package against the stores of a running gateway: upload, list, search, delete, errors.

Usage: openai_stores.py BASE_URL. Prints one line a check; exits 1 at the first that fails.
`clients.rs` starts the gateway that it expects: with a store `notes` that takes uploads.
"""

import io
import sys

import openai

from openai_chat import check


def main(base_url):
    client = openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=120)
    check("stores are listed", "notes" in [store.id for store in client.vector_stores.list()])
    check("a store is retrieved", client.vector_stores.retrieve("notes").name == "notes")

    text = io.BytesIO(b"# Otter\n\nThe otter of Lund is called Sigrid.\n")
    text.name = "otter.md"
    file = client.vector_stores.files.upload_and_poll(
        vector_store_id="notes", file=text, attributes={"species": "otter", "age": 4}
    )
    check("a file is uploaded and done", file.status == "completed", file.id)
    waiting = client.files.create(file=("heron.txt", b"The heron of Lund is called Olof."), purpose="assistants")
    check("a file waits", client.files.retrieve(waiting.id).bytes == 33)
    attached = client.vector_stores.files.create(vector_store_id="notes", file_id=waiting.id)
    check("and is attached", attached.status == "completed")

    found = client.vector_stores.search(vector_store_id="notes", query="What is the otter called?")
    best = found.data[0]
    check("a search finds it", best.filename == "otter.md" and "Sigrid" in best.content[0].text, best.score)
    check("with its attributes", best.attributes["species"] == "otter")
    filtered = client.vector_stores.search(
        vector_store_id="notes",
        query="What is it called?",
        filters={"type": "and", "filters": [{"type": "gte", "key": "age", "value": 4}]},
        max_num_results=5,
        ranking_options={"ranker": "auto", "score_threshold": 0.0},
    )
    check("a filter narrows", [result.filename for result in filtered.data] == ["otter.md"])

    names = [item.id for item in client.vector_stores.files.list(vector_store_id="notes", limit=1)]
    check("pages are walked", sorted(names) == sorted([file.id, attached.id]), names)
    gone = client.vector_stores.files.delete(vector_store_id="notes", file_id=file.id)
    check("a file is deleted", gone.deleted)
    found = client.vector_stores.search(vector_store_id="notes", query="What is the otter called?")
    check("and not found again", [result.filename for result in found.data] == ["heron.txt"])

    for name, act, kind in [
        ("a missing store", lambda: client.vector_stores.retrieve("none"), openai.NotFoundError),
        ("a missing file", lambda: client.files.retrieve("file-bm9uZQ"), openai.NotFoundError),
        ("a store without uploads", lambda: client.vector_stores.files.create("default", file_id=waiting.id),
         openai.PermissionDeniedError),
    ]:
        try:
            act()
            check(name, False)
        except kind as error:
            check(f"{name} is an error of its kind", bool(error.message), error.status_code)


if __name__ == "__main__":
    main(sys.argv[1])
