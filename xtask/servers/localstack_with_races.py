"""Starts LocalStack so that of several writers that create one object at the same moment one wins.

Its store looks whether an object has a file, and makes one if not, in two steps. On a busy machine two writers come
between these, get a file each and with it a lock each, and both are told that they created the object: then the S3 of
the tests does not do what S3 does. Here the file is made under one lock, before the store is asked for it.
"""

import runpy
import threading

from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

making = threading.Lock()
open_file = EphemeralS3ObjectStore.open


def open_after_making(store, bucket, s3_object, mode="r"):
    with making:
        if store._get_object_file(bucket, store._key_from_s3_object(s3_object)) is None:
            # Nobody else knows of it yet: this waits for nobody.
            open_file(store, bucket, s3_object, "w").close()
    return open_file(store, bucket, s3_object, mode)


EphemeralS3ObjectStore.open = open_after_making
runpy.run_module("localstack.runtime.main", run_name="__main__", alter_sys=True)
