"""States, their times, and how each end is told."""

from datetime import timedelta


def test_every_passing_state_takes_half_a_second(aws):
    made = aws.launch()
    assert aws.state(made) == "pending"
    assert aws.see(made)["StateReason"]["Code"] == "pending"
    aws.pass_seconds(0.6)
    assert aws.state(made) == "running"
    assert "StateReason" not in aws.see(made)
    aws.ec2.stop_instances(InstanceIds=[made])
    assert aws.state(made) == "stopping"
    aws.pass_seconds(0.6)
    assert aws.state(made) == "stopped"
    answer = aws.ec2.start_instances(InstanceIds=[made])["StartingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == (
        "stopped",
        "pending",
    )
    aws.pass_seconds(0.6)
    answer = aws.ec2.terminate_instances(InstanceIds=[made])["TerminatingInstances"][0]
    assert answer["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    assert aws.state(made) == "shutting-down"
    aws.pass_seconds(0.6)
    assert aws.state(made) == "terminated"


def test_a_stop_tells_its_time_in_awss_words(aws):
    made = aws.running()
    aws.clock.advance(timedelta(hours=2))
    now = aws.clock.now()
    aws.ec2.stop_instances(InstanceIds=[made])
    seen = aws.see(made)
    ended = aws.truth(made).runs[0].ended
    assert timedelta() <= ended - now.replace(microsecond=0) < timedelta(seconds=5)
    assert seen["StateTransitionReason"] == f"User initiated ({ended:%Y-%m-%d %H:%M:%S} GMT)"
    assert seen["StateReason"] == {
        "Code": "Client.UserInitiatedShutdown",
        "Message": "Client.UserInitiatedShutdown: User initiated shutdown",
    }


def test_a_start_renews_launch_time_and_address_and_boots_the_same_machine(aws):
    made = aws.running()
    first = aws.see(made)
    aws.ec2.stop_instances(InstanceIds=[made])
    aws.pass_seconds(3600)
    stopped = aws.see(made)
    assert "PublicIpAddress" not in stopped
    assert stopped["LaunchTime"] == first["LaunchTime"]
    aws.ec2.start_instances(InstanceIds=[made])
    aws.pass_seconds(1)
    second = aws.see(made)
    assert second["LaunchTime"] - first["LaunchTime"] >= timedelta(hours=1)
    assert second["PublicIpAddress"] != first["PublicIpAddress"]
    assert second["StateTransitionReason"] == ""
    runs = aws.truth(made).runs
    assert [run.started for run in runs] == [first["LaunchTime"], second["LaunchTime"]]
    assert [boot.id for boot in aws.metal.boots] == [made, made]


def test_a_terminated_instance_stays_visible_for_an_hour(aws, refused):
    made = aws.running()
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(3500)
    seen = aws.see(made)
    assert seen["NetworkInterfaces"] == seen["BlockDeviceMappings"] == []
    assert "PublicIpAddress" not in seen
    aws.pass_seconds(200)
    code, status, text = refused(aws.ec2.describe_instances, InstanceIds=[made])
    assert (code, status) == ("InvalidInstanceID.NotFound", 400)
    assert text == f"The instance ID '{made}' does not exist"
    assert aws.truth(made).state == "terminated"


def test_a_guest_that_powers_off_is_terminated_or_stopped_as_ordered(aws):
    ends = aws.running(InstanceInitiatedShutdownBehavior="terminate")
    stays = aws.running()
    for name in (ends, stays):
        aws.metal.guests[name]()
    aws.pass_seconds(1)
    assert (aws.state(ends), aws.state(stays)) == ("terminated", "stopped")
    seen = aws.see(ends)
    assert seen["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert seen["StateTransitionReason"] == "User initiated"
    assert aws.truth(ends).ended_by == "guest"
    assert aws.truth(stays).runs[0].ended_by == "guest"


def test_a_spot_instance_whose_guest_powers_off_is_gone(aws):
    made = aws.running(spot=True)
    aws.metal.guests[made]()
    aws.pass_seconds(1)
    assert aws.state(made) == "terminated"


def test_terminate_is_idempotent_and_knows_its_instances(aws, refused):
    made = aws.running()
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(100)
    ended = aws.truth(made).ended
    answer = aws.ec2.terminate_instances(InstanceIds=[made])["TerminatingInstances"][0]
    assert answer["PreviousState"]["Name"] == answer["CurrentState"]["Name"] == "terminated"
    assert aws.truth(made).ended == ended
    code = refused(aws.ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"])[0]
    assert code == "InvalidInstanceID.NotFound"
    assert refused(aws.ec2.start_instances, InstanceIds=[made])[0] == "IncorrectInstanceState"
    assert refused(aws.ec2.stop_instances, InstanceIds=[made])[0] == "IncorrectInstanceState"


def test_a_hand_in_the_console_leaves_only_aws_knowing(aws):
    made = aws.running()
    aws.market.terminate_from_console(made)
    aws.pass_seconds(1)
    assert aws.see(made)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert aws.truth(made).ended_by == "console"


def test_a_jump_past_an_interruption_ends_it_at_its_own_time(aws):
    made = aws.running(spot=True)
    aws.market.interrupt(made, notice_seconds=120)
    due = aws.metal.notices[made].at
    aws.clock.advance(timedelta(days=20))
    assert aws.truth(made).ended == due


def test_a_new_instance_can_be_hidden_for_a_while(aws, refused):
    aws.market.lag(2)
    made = aws.launch(ClientToken="t")
    assert (
        refused(aws.ec2.describe_instances, InstanceIds=[made])[0] == "InvalidInstanceID.NotFound"
    )
    assert aws.ec2.describe_instances()["Reservations"] == []
    assert aws.state(made) == "pending"


def test_the_console_output_is_the_machines(aws):
    made = aws.running()
    assert made in aws.ec2.get_console_output(InstanceId=made)["Output"]


def test_waiters_work_while_real_time_passes(aws):
    aws.clock.let_go()
    made = aws.launch()
    waiter = aws.ec2.get_waiter("instance_running")
    waiter.wait(InstanceIds=[made], WaiterConfig={"Delay": 0.3, "MaxAttempts": 10})
    assert aws.truth(made).state == "running"


def test_reset_gives_an_empty_account(aws):
    aws.running(spot=True)
    aws.market.quota("L-3819A6DF", 0)
    aws.cloud.reset()
    assert aws.cloud.truth() == ()
    assert aws.ec2.describe_instances()["Reservations"] == []
    assert aws.ec2.describe_volumes()["Volumes"] == []
    aws.launch(spot=True)
