"""Images of the user's own: made of a disk, labelled, shared, deleted."""

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

PROJECT = "sandbox-project"


def insert(api, name="torch-1", disk="vm", **changes):
    values = {
        "name": name,
        "source_disk": f"projects/{PROJECT}/zones/us-central1-a/disks/{disk}",
    } | changes
    op = api.images.insert_unary(project=PROJECT, image_resource=compute_v1.Image(**values))
    return api.after(op)


def stopped(api):
    api.up()
    api.after(api.instances.stop_unary(**api.place(), instance="vm"))


def test_an_images_life(api):
    stopped(api)
    assert not insert(api, family="torch", labels={"a": "1"}).error.errors
    image = api.images.get(project=PROJECT, image="torch-1")
    assert (image.status, image.labels, image.architecture) == ("READY", {"a": "1"}, "X86_64")
    assert image.archive_size_bytes > 0
    assert api.images.get_from_family(project=PROJECT, family="torch").name == "torch-1"
    with pytest.raises(exceptions.Conflict):
        insert(api)
    api.after(api.images.delete_unary(project=PROJECT, image="torch-1"))
    with pytest.raises(exceptions.NotFound):
        api.images.get(project=PROJECT, image="torch-1")


def test_a_disk_that_a_running_vm_uses_makes_none(api):
    api.up()
    with pytest.raises(exceptions.BadRequest, match="must not be in use"):
        insert(api)
    assert list(api.images.list(project=PROJECT)) == []


def test_labels_of_an_image_change_with_their_fingerprint(api):
    stopped(api)
    insert(api, labels={"a": "1"})
    image = api.images.get(project=PROJECT, image="torch-1")
    change = {
        "project": PROJECT,
        "resource": "torch-1",
        "global_set_labels_request_resource": compute_v1.GlobalSetLabelsRequest(
            labels={"a": "2"}, label_fingerprint=image.label_fingerprint
        ),
    }
    api.after(api.images.set_labels_unary(**change))
    assert api.images.get(project=PROJECT, image="torch-1").labels == {"a": "2"}
    with pytest.raises(exceptions.PreconditionFailed):
        api.images.set_labels_unary(**change)


def test_who_may_use_an_image_is_replaced_whole(api):
    stopped(api)
    insert(api)
    policy = api.images.get_iam_policy(project=PROJECT, resource="torch-1")
    binding = compute_v1.Binding(role="roles/compute.imageUser", members=["user:ada@example.org"])

    def share(members, etag):
        binding.members = members
        wanted = compute_v1.Policy(bindings=[binding], etag=etag)
        return api.images.set_iam_policy(
            project=PROJECT,
            resource="torch-1",
            global_set_policy_request_resource=compute_v1.GlobalSetPolicyRequest(policy=wanted),
        )

    share(["user:ada@example.org"], policy.etag)
    told = api.images.get_iam_policy(project=PROJECT, resource="torch-1")
    assert list(told.bindings[0].members) == ["user:ada@example.org"]
    with pytest.raises(exceptions.PreconditionFailed):
        share(["user:bob@example.org"], policy.etag)
    with pytest.raises(exceptions.BadRequest):
        share(["nobody"], told.etag)
