"""All services, built once, each from those below it."""

from __future__ import annotations

from dataclasses import dataclass

from control.audit.service import AuditService
from control.broker.service import NudgeService, PresenceService
from control.clock import Clock
from control.db.session import Database
from control.enrolment.approvals import ApprovalService
from control.enrolment.ca_files import MeshKeys
from control.enrolment.routes import EnrolLimiter
from control.enrolment.service import Endpoints, EnrolmentService
from control.figures.service import FigureService
from control.fleet.heard import AgeService
from control.forgetting.service import ForgettingService
from control.inbox.batch import Sender
from control.inbox.service import InboxService
from control.injection import Provisions
from control.limits import RequestBrake
from control.live.hub import LiveHub
from control.live.service import FeedService
from control.node_commands.board import CommandBoard
from control.node_commands.service import CommandService
from control.nodes.reports import NodeCaller
from control.nodes.service import NodeService
from control.overview.service import FleetService
from control.policies.board import PolicyBoard
from control.policies.service import PolicyService
from control.pools.service import PoolService
from control.previews.service import PreviewService
from control.promises.service import KeptAnswers
from control.reconciliation.service import ReconciliationService
from control.rollouts.driver import RolloutDriver
from control.rollouts.service import RolloutService
from control.scopes.service import ScopeService
from control.scopes.views import ScopeViews
from control.sites.service import SiteService
from control.studies.service import StudyService
from control.sync.rpc import PushBatch
from control.users.accounts import AccountService
from control.users.routes import LoginLimiter
from control.users.service import UserService
from mesh.v1 import sync_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The services that the composition root itself needs."""

    database: Database
    clock: Clock
    sites: SiteService
    nodes: NodeService
    policies: PolicyService
    rollouts: RolloutService
    rollout_driver: RolloutDriver
    board: PolicyBoard
    commands: CommandService
    figures: FigureService
    pools: PoolService
    command_board: CommandBoard
    enrolment: EnrolmentService
    users: UserService
    push_batch: PushBatch
    live: LiveHub
    nudges: NudgeService
    presence: PresenceService
    forgetting: ForgettingService
    provisions: Provisions


def build_core(database: Database, keys: MeshKeys, endpoints: Endpoints, clock: Clock, *more: object) -> Core:
    """Wire the core up. `more` are the objects of other slices that routes ask for."""
    audit = AuditService(database, clock)
    sites = SiteService(database, audit, clock)
    nodes = NodeService(database, sites, audit, clock)
    board = PolicyBoard()
    figures = FigureService(database, clock)
    command_board = CommandBoard()
    commands = CommandService(database, nodes, audit, command_board, clock)
    policies = PolicyService(database, sites, audit, board, keys.policy_key, clock)
    rollouts = RolloutService(database, sites, nodes, policies, audit, clock)
    pools = PoolService(database, sites, nodes, policies, audit, keys.policy_key, clock)
    approvals = ApprovalService(database, sites, nodes, audit, clock)
    enrolment = EnrolmentService(database, sites, nodes, policies, approvals, audit, keys, endpoints, clock)
    users = UserService(database, sites, audit, clock)
    ages = AgeService(clock)
    presence = PresenceService(database, ages, clock)
    feed = FeedService(database, clock)
    live = LiveHub(feed)
    provisions = Provisions(
        database,
        audit,
        sites,
        nodes,
        policies,
        rollouts,
        ScopeService(database, sites, nodes, policies, audit, clock),
        ScopeViews(database, sites, nodes, policies, clock),
        PreviewService(database, sites, policies, clock),
        commands,
        figures,
        pools,
        enrolment,
        approvals,
        users,
        users.authenticator(),
        AccountService(database, sites, audit, clock),
        KeptAnswers(database, clock),
        RequestBrake(each_second=200, burst=1000),
        ReconciliationService(database, ages, clock),
        FleetService(database, sites, nodes, policies, presence),
        StudyService(database, ages),
        feed,
        live,
        LoginLimiter(failures=10, window_seconds=60),
        EnrolLimiter(failures=20, window_seconds=60),
        *more,
    )
    return Core(
        database=database,
        clock=clock,
        sites=sites,
        nodes=nodes,
        policies=policies,
        rollouts=rollouts,
        rollout_driver=rollouts.driver(),
        board=board,
        commands=commands,
        figures=figures,
        pools=pools,
        command_board=command_board,
        enrolment=enrolment,
        users=users,
        push_batch=_push_batch(InboxService(database, clock, committed=live.committed)),
        live=live,
        nudges=NudgeService(database, sites, board, command_board),
        presence=presence,
        forgetting=ForgettingService(database, audit, clock),
        provisions=provisions,
    )


def _push_batch(inbox: InboxService) -> PushBatch:
    async def push_batch(caller: NodeCaller, request: sync_pb2.PushBatchRequest) -> sync_pb2.PushBatchResponse:
        ack = await inbox.push(Sender(node_id=caller.node_id, site=caller.site), request)
        return sync_pb2.PushBatchResponse(ack_sequence=ack)

    return push_batch
