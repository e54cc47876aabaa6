"""Submit and inquire, in FHIR and in X12."""

from aiohttp import web

from workers.gateway.api.entrance import body_of, client_of, must_accept_json
from workers.gateway.api.responses import Refused, given
from workers.gateway.exchange import Exchange, Question
from workers.gateway.messages import OUTCOME, Format, as_inquiry, resource_type

NOTHING_ASKED = "there is no request here: what is itself an answer is not answered"


class MessagesApi:
    """The handlers of both formats."""

    def __init__(self, exchange: Exchange, pas: Format, x12: Format) -> None:
        self._exchange, self._pas, self._x12 = exchange, pas, x12

    def routes(self) -> list[web.RouteDef]:
        """The routes; their names are the operations that are counted."""
        return [
            web.post("/fhir/Claim/$submit", self.submit, name="submit"),
            web.post("/fhir/Claim/$inquire", self.inquire, name="inquire"),
            web.post("/x12/278", self.x12, name="x12"),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """A PAS request Bundle in, its response Bundle out."""
        return await self._fhir(request, is_inquiry=False)

    async def inquire(self, request: web.Request) -> web.Response:
        """A PAS inquiry Bundle in, Parameters with its response Bundles out."""
        return await self._fhir(request, is_inquiry=True)

    async def _fhir(self, request: web.Request, *, is_inquiry: bool) -> web.Response:
        must_accept_json(request)
        value = await body_of(request, self._pas.takes)
        value = as_inquiry(value) if is_inquiry else value
        messages = self._pas.read(value)
        if not messages:
            raise Refused(400, NOTHING_ASKED)
        if len(messages) > 1:
            raise Refused(400, "there is more than one Bundle; send one at a time")
        if messages[0].is_inquiry and not is_inquiry:
            raise Refused(400, "this is an inquiry; send it to Claim/$inquire")
        question = Question(self._pas, client_of(request).partner, value, (messages[0].digest,), is_inquiry)
        [answer] = await self._exchange.ask(question)
        # A message whose structure is broken is refused by the adapter, which has kept it as a dead letter.
        return given(answer, self._pas.gives, 400 if resource_type(answer) == OUTCOME else 200)

    async def x12(self, request: web.Request) -> web.Response:
        """An interchange in; the interchanges with the answers to its transaction sets out, one behind the other."""
        value = await body_of(request, self._x12.takes)
        digests = tuple(message.digest for message in self._x12.read(value))
        if not digests:
            raise Refused(400, NOTHING_ASKED)
        answers = await self._exchange.ask(Question(self._x12, client_of(request).partner, value, digests))
        return given(b"".join(answers), self._x12.gives)
